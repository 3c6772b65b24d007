//! What another parser, `rsip`, makes of messages that both accept: the same.
//!
//! It knows no compact names, no IPv6, no `tel:` and no user with a dot, and stops at a second Via
//! on a line; so the messages here have none of these.

use hushbox_sip::message::name::Name;
use hushbox_sip::{Message, message::StartLine};
use proptest::collection::vec;
use proptest::prelude::*;
use rsip::message::HasHeaders as _;
use rsip::prelude::{HeadersExt as _, ToTypedHeader as _, UntypedHeader as _};

const METHODS: [&str; 7] = ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "UPDATE"];
const URIS: [&str; 7] = [
    "sip:1001@vm.example.com",
    "sip:1001@192.0.2.1:5070",
    "sips:vm.example.com",
    "sip:vm.example.com:5061;transport=tls",
    "sip:janedoe@vm.example.com;user=phone;lr",
    "sip:+15550100@vm.example.com",
    "sip:%2A97@vm.example.com",
];
const VIAS: [&str; 4] = [
    "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKabc;rport",
    "SIP/2.0/TLS pc.example.com;branch=z9hG4bK-524287-1---9",
    "SIP/2.0/TCP pc.example.com:5060;received=192.0.2.9;branch=z9hG4bKx",
    "SIP/2.0/UDP h;branch=1",
];
const DISPLAYS: [&str; 4] = ["", "\"Jane Doe\" ", "Jane ", "\"a, <b>; c\" "];
const TAGS: [&str; 3] = ["", ";tag=a1b2", ";tag=as58f4201b"];
const EXTRAS: [&str; 6] = [
    "User-Agent: Phone/1.0 (x; y)\r\n",
    "Supported: timer, 100rel\r\n",
    "X-Unknown: ;;,,;;,;\r\n",
    "Subject:\r\n",
    "Allow: INVITE, ACK\r\n",
    "Record-Route: <sip:p1.example.com;lr>\r\n",
];

fn message() -> impl Strategy<Value = String> {
    let pick = |list: &'static [&'static str]| prop::sample::select(list);
    let addresses = (pick(&URIS), pick(&DISPLAYS), pick(&TAGS));
    let parts = (
        pick(&METHODS),
        pick(&URIS),
        vec(pick(&VIAS), 1..4),
        (addresses.clone(), addresses),
        0..2_000_000_000u32,
        vec(pick(&EXTRAS), 0..6),
        pick(&["", "v=0\r\n", "a\r\n\r\nb"]),
    );
    parts.prop_map(|(method, uri, vias, (from, to), cseq, extras, body)| {
        let vias: String = vias.iter().map(|via| format!("Via: {via}\r\n")).collect();
        let address = |(uri, display, tag): (&str, &str, &str)| format!("{display}<{uri}>{tag}");
        let (from, to, extras, length) = (address(from), address(to), extras.concat(), body.len());
        format!(
            "{method} {uri} SIP/2.0\r\n{vias}Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\n\
             Call-ID: a84b4c76e66710@pc33.example.com\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:jane@192.0.2.4>\r\n{extras}Content-Length: {length}\r\n\r\n{body}"
        )
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

proptest! {
    #[test]
    fn both_read_the_same_out_of_a_message(bytes in message()) {
        let ours = Message::parse(bytes.as_bytes());
        let theirs = rsip::Request::try_from(bytes.as_bytes());
        let ours = ours.expect("ours takes every one of these");
        let Ok(theirs) = theirs else { return Ok(()) };
        let StartLine::Request(request) = ours.start() else { panic!("a request") };

        prop_assert_eq!(text(request.method.text()), theirs.method.to_string());
        prop_assert_eq!(request.uri.raw_user().map(text), theirs.uri.user().map(str::to_owned));
        prop_assert_eq!(request.uri.host(), theirs.uri.host().to_string().to_lowercase());
        prop_assert_eq!(request.uri.port(), theirs.uri.port().map(|port| *port.value()));
        prop_assert_eq!(ours.body(), theirs.body());
        prop_assert_eq!(ours.fields().len(), theirs.headers().iter().count());
        prop_assert_eq!(ours.via_count(), ours.values(Name::Via).count());

        let call_id = theirs.call_id_header().expect("a Call-ID");
        prop_assert_eq!(text(ours.call_id()), call_id.value());
        let cseq = theirs.cseq_header().expect("a CSeq").typed().expect("a typed CSeq");
        prop_assert_eq!(ours.cseq().number, cseq.seq);
        if let Ok(from) = theirs.from_header().expect("a From").typed() {
            prop_assert_eq!(ours.from().tag().map(text), from.tag().map(|tag| tag.to_string()));
            let user = ours.from().uri().raw_user().map(text);
            prop_assert_eq!(user, from.uri.user().map(str::to_owned));
        }
        if let Ok(to) = theirs.to_header().expect("a To").typed() {
            prop_assert_eq!(ours.to().tag().map(text), to.tag().map(|tag| tag.to_string()));
        }
        if let Ok(via) = theirs.via_header().expect("a Via").typed() {
            let branch = via.branch().map(|branch| branch.to_string());
            prop_assert_eq!(ours.via().params().get("branch").map(text), branch);
            prop_assert_eq!(text(ours.via().transport()), via.transport.to_string());
        }
    }
}

#[test]
fn the_other_parser_takes_most_of_these() {
    let bytes = "INVITE sip:1001@vm.example.com SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKabc;rport\r\nMax-Forwards: 70\r\n\
        From: \"Jane Doe\" <sip:jane@vm.example.com>;tag=a1\r\nTo: <sip:1001@vm.example.com>\r\n\
        Call-ID: a\r\nCSeq: 1 INVITE\r\nContact: <sip:jane@192.0.2.4>\r\n\
        Content-Length: 0\r\n\r\n";
    let theirs = rsip::Request::try_from(bytes.as_bytes()).expect("a request");
    assert!(theirs.from_header().is_ok_and(|from| from.typed().is_ok()));
    assert!(theirs.via_header().is_ok_and(|via| via.typed().is_ok()));
}
