//! The order in which a request is judged (RFC 3261 §8.2, protocols.md §2.10).

use super::world::*;
use hushbox_sip::{Algorithm, Flow, InviteBody, Limits, Transport};

fn status_of(message: &str) -> (u16, World) {
    let mut world = World::new();
    world.receive(udp(), message);
    let status = world.sent.first().map_or(0, Sent::status);
    (status, world)
}

#[test]
fn known_methods_that_are_not_served_get_405_with_allow() {
    for method in ["REGISTER", "PUBLISH", "MESSAGE", "INFO", "REFER"] {
        let (status, world) = status_of(&request(udp(), method, 1).text());
        assert_eq!(status, 405, "{method}");
        assert!(world.sent[0].header("Allow").is_some_and(|a| a.contains("INVITE")));
    }
}

#[test]
fn unknown_methods_get_501_before_anything_else() {
    assert_eq!(status_of(&request(udp(), "NOBODY", 1).text()).0, 501);
    assert_eq!(status_of(&request(udp(), "NOBODY", 1).uri("foo:bar").text()).0, 501);
    assert_eq!(status_of(&request(udp(), "invite", 1).text()).0, 501);
}

#[test]
fn unknown_schemes_get_416() {
    assert_eq!(status_of(&request(udp(), "INVITE", 1).uri("foo:bar").text()).0, 416);
    assert_eq!(status_of(&request(udp(), "OPTIONS", 1).uri("http://x/").text()).0, 416);
}

#[test]
fn tel_uris_are_numbers() {
    let mut world = World::new();
    world.receive(udp(), &invite(udp()).uri("tel:+1-555-0100").text());
    assert_eq!(world.invited().1.request_uri.user(), Some("+15550100"));
}

#[test]
fn other_versions_get_505() {
    let text = invite(udp()).text().replacen("SIP/2.0\r\nVia", "SIP/7.0\r\nVia", 1);
    assert_eq!(status_of(&text).0, 505);
}

#[test]
fn malformed_requests_get_400_and_malformed_acks_and_responses_nothing() {
    let broken = request(udp(), "INVITE", 1).header("no colon here");
    assert_eq!(status_of(&broken.text()).0, 400);
    assert_eq!(status_of(&request(udp(), "INVITE", 1).from("\"x <sip:a@b>").text()).0, 400);
    assert_eq!(status_of(&request(udp(), "ACK", 1).header("no colon").text()).0, 0);
    let response = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=1\r\nCSeq: x\r\n\r\n";
    assert_eq!(status_of(response).0, 0);
    assert_eq!(status_of("\0\0\0").0, 0);
    assert_eq!(status_of("").0, 0);
}

#[test]
fn answers_to_garbage_are_limited() {
    let limits =
        Limits { error_replies_per_second: 12, error_replies_per_source: 5, ..Limits::default() };
    let mut world = World::with_limits(limits);
    let broken = request(udp(), "INVITE", 1).header("no colon here").text();
    let source = |n: u8| Flow { remote: address(&format!("192.0.2.{n}:5060")), ..udp() };
    (0..100).for_each(|_| world.receive(source(1), &broken));
    assert_eq!(world.take_sent().len(), 5);
    (0..100).for_each(|n| world.receive(source(n), &broken));
    assert_eq!(world.take_sent().len(), 7);
    world.advance(SECOND);
    world.receive(source(1), &broken);
    assert_eq!(world.take_sent().len(), 1);
}

#[test]
fn options_get_200_whatever_the_user_and_leave_nothing() {
    for user in ["1001", "nobody", "%2A97"] {
        let uri = format!("sip:{user}@vm.example.com");
        let (status, world) = status_of(&request(udp(), "OPTIONS", 1).uri(&uri).text());
        assert_eq!(status, 200);
        for name in ["Allow", "Accept", "Supported"] {
            assert!(world.sent[0].header(name).is_some(), "{name}");
        }
        assert!(world.events.is_empty());
        world.assert_empty();
    }
}

#[test]
fn a_repeated_options_gets_the_same_tag() {
    let mut world = World::new();
    world.receive(udp(), &request(udp(), "OPTIONS", 1).text());
    world.receive(udp(), &request(udp(), "OPTIONS", 1).text());
    let sent = world.take_sent();
    assert_eq!(sent[0].to_tag(), sent[1].to_tag());
    assert!(!sent[0].to_tag().is_empty());
}

#[test]
fn bye_without_a_dialog_gets_481() {
    assert_eq!(status_of(&request(udp(), "BYE", 1).text()).0, 481);
    assert_eq!(status_of(&request(udp(), "BYE", 1).tagged("before-restart").text()).0, 481);
    assert_eq!(status_of(&invite(udp()).tagged("before-restart").text()).0, 481);
}

#[test]
fn extensions_and_content_are_judged_after_authentication() {
    let after = |message: String| {
        let mut world = World::new();
        world.receive(udp(), &message);
        let (_, invite) = world.invited();
        (invite.after_authentication(), invite)
    };
    let strange = request(udp(), "INVITE", 1).header("Require: foo, 100foo").header("Require: bar");
    let (rejection, _) = after(strange.body("text/x", "y").text());
    let rejection = rejection.expect("a refusal");
    assert_eq!(rejection.status, 420);
    assert_eq!(rejection.headers, [("Unsupported".to_owned(), "foo, 100foo, bar".to_owned())]);
    let (rejection, invite) = after(request(udp(), "INVITE", 1).body("text/x", "y").text());
    let rejection = rejection.expect("a refusal");
    assert_eq!((rejection.status, &invite.body), (415, &InviteBody::Unsupported));
    let names: Vec<_> = rejection.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Accept", "Accept-Encoding", "Accept-Language"]);
    let picky = invite_with("Accept: text/nobodyKnowsThis");
    assert_eq!(after(picky).0.expect("a refusal").status, 406);
    // Proxy-Require is not for a user agent server.
    assert_eq!(after(invite_with("Proxy-Require: foo")).0, None);
}

fn invite_with(header: &str) -> String {
    invite(udp()).header(header).text()
}

fn credentials(realm: &str, algorithm: &str) -> String {
    format!(
        "Authorization: Digest username=\"u\", realm=\"{realm}\", nonce=\"n\", uri=\"sip:x\", \
         response=\"00\"{algorithm}"
    )
}

#[test]
fn credentials_for_us_are_found_among_those_for_others() {
    let text = invite(udp())
        .header(&credentials("proxy.example", ", algorithm=SHA-256"))
        .header(&credentials("hushbox", ", algorithm=SHA-512-256"))
        .header(&credentials("sbc.example", ", algorithm=SHA-256"))
        .text();
    let mut world = World::new();
    world.endpoint.set_realm("hushbox");
    world.receive(udp(), &text);
    let (_, invite) = world.invited();
    assert_eq!(invite.authorization.and_then(|a| a.algorithm()), Some(Algorithm::Sha512_256));
}

#[test]
fn the_best_credentials_are_taken() {
    let digest = |algorithm: &str| credentials("r", algorithm);
    let text = invite(udp())
        .header("Authorization: NoOneKnowsThisScheme opaque-data=here")
        .header(&digest(""))
        .header(&digest(", algorithm=SHA-256"))
        .header(&digest(", algorithm=SHA-512-256"))
        .text();
    let mut world = World::new();
    world.receive(udp(), &text);
    let (_, invite) = world.invited();
    assert_eq!(invite.authorization.and_then(|a| a.algorithm()), Some(Algorithm::Sha256));
}

#[test]
fn max_forwards_zero_or_absent_is_no_matter() {
    let mut world = World::new();
    let text = invite(udp()).text();
    world.receive(udp(), &text.replace("Max-Forwards: 70", "Max-Forwards: 0"));
    world.invited();
    let mut world = World::new();
    world.receive(udp(), &text.replace("Max-Forwards: 70\r\n", ""));
    world.invited();
}

#[test]
fn a_full_endpoint_answers_503_with_retry_after() {
    let mut world = World::with_limits(Limits { sessions_max: 1, ..Limits::default() });
    world.receive(udp(), &invite(udp()).text());
    world.invited();
    world.sent.clear();
    world.receive(udp(), &invite(udp()).call_id("two").branch("two").text());
    let sent = world.only_sent();
    assert_eq!(sent.status(), 503);
    let after: u32 = sent.header("Retry-After").and_then(|r| r.parse().ok()).expect("seconds");
    assert!((5..15).contains(&after));
    assert!(world.events.is_empty());
}

#[test]
fn transactions_have_a_limit_of_their_own() {
    let mut world = World::with_limits(Limits { transactions_max: 1, ..Limits::default() });
    world.receive(udp(), &invite(udp()).text());
    let (session, _) = world.invited();
    world.reject(session, hushbox_sip::Rejection::new(404));
    world.receive(udp(), &invite(udp()).call_id("two").branch("two").text());
    assert_eq!(world.statuses(), [100, 404, 503]);
    world.advance(32 * SECOND);
    world.events.clear();
    world.receive(udp(), &invite(udp()).call_id("two").branch("two").text());
    world.invited();
}

// RFC 3261 §18.2.1, §18.2.2, RFC 3581 §4.
#[test]
fn udp_responses_go_where_rport_and_received_say() {
    let flow = Flow { remote: address("198.51.100.7:6789"), ..udp() };
    let mut world = World::new();
    let options = request(udp(), "OPTIONS", 1);
    world.receive(flow, &options.clone().via("SIP/2.0/UDP pc.example.com:5099;rport").text());
    let sent = world.only_sent();
    assert_eq!(sent.flow.remote, address("198.51.100.7:6789"));
    let via = sent.header("Via").expect("a Via");
    assert!(via.ends_with(";branch=z9hG4bKOPTIONS1;received=198.51.100.7;rport=6789"), "{via}");

    world.receive(flow, &options.clone().via("SIP/2.0/UDP pc.example.com:5099").text());
    let sent = world.only_sent();
    assert_eq!(sent.flow.remote, address("198.51.100.7:5099"));
    assert!(sent.header("Via").is_some_and(|v| v.contains(";received=198.51.100.7")));

    let forged = "SIP/2.0/UDP 198.51.100.7;received=203.0.113.1;rport=1";
    world.receive(flow, &options.clone().via(forged).text());
    let sent = world.only_sent();
    assert_eq!(sent.flow.remote, address("198.51.100.7:6789"));
    let via = sent.header("Via").expect("a Via");
    assert!(via.ends_with("OPTIONS1;received=198.51.100.7;rport=6789"), "{via}");

    world.receive(flow, &options.via("SIP/2.0/UDP 198.51.100.7").text());
    let sent = world.only_sent();
    assert_eq!(sent.flow.remote, address("198.51.100.7:5060"));
    assert!(sent.header("Via").is_some_and(|v| !v.contains("received")));
}

#[test]
fn ipv6_peers_are_told_their_address() {
    let flow = Flow {
        transport: Transport::Udp,
        local: address("[2001:db8::100]:5060"),
        remote: address("[2001:db8::9]:5070"),
        connection: None,
    };
    let mut world = World::new();
    let options = request(flow, "OPTIONS", 1);
    world.receive(flow, &options.clone().text());
    let via = world.only_sent();
    assert_eq!(
        via.header("Via"),
        Some(
            "SIP/2.0/UDP [2001:db8::9]:5070;branch=z9hG4bKOPTIONS1;received=2001:db8::9;rport=5070"
        )
    );
    world.receive(flow, &options.clone().via("SIP/2.0/UDP [2001:db8:0::9]").text());
    assert!(world.only_sent().header("Via").is_some_and(|v| !v.contains("received")));
    // RFC 5118 §4.9: an IPv4 address inside IPv6 is an IPv4 address.
    let flow = Flow { remote: address("[::ffff:192.0.2.1]:5070"), ..flow };
    for sent_by in ["192.0.2.1", "[::ffff:192.0.2.1]"] {
        let via = format!("SIP/2.0/UDP {sent_by}");
        world.receive(flow, &options.clone().via(&via).text());
        assert!(world.only_sent().header("Via").is_some_and(|v| !v.contains("received")));
    }
    world.receive(flow, &options.via("SIP/2.0/UDP 192.0.2.7;rport").text());
    assert!(world.only_sent().header("Via").is_some_and(|v| v.contains("received=192.0.2.1;")));
}

// RFC 3891 §3: nothing of ours can be replaced; a second call beside the first must not begin.
#[test]
fn an_invite_that_would_replace_a_call_gets_481_and_420_where_that_is_required() {
    for (more, status) in [("Subject: y", 481), ("Require: replaces", 420)] {
        let mut world = World::new();
        let replaces = "Replaces: call1@pbx.example.com;to-tag=a;from-tag=b";
        world.receive(udp(), &invite(udp()).header(replaces).header(more).text());
        let rejection = world.invited().1.after_authentication().expect("a refusal");
        assert_eq!(rejection.status, status, "{more}");
    }
}

// RFC 6086 §4.2.2: no Info Package is taken. Digits by INFO are none of ours either: 405.
#[test]
fn an_info_of_a_package_inside_a_call_gets_469_and_any_other_405() {
    let mut world = World::new();
    let (_, tag) = world.established(udp());
    let info = |cseq| request(udp(), "INFO", cseq).tagged(&tag);
    world.receive(udp(), &info(2).header("Info-Package: dtmf").text());
    let sent = world.only_sent();
    assert_eq!((sent.status(), sent.header("Recv-Info")), (469, Some("")));
    world.receive(udp(), &info(3).body("application/dtmf-relay", "Signal=5\r\n").text());
    world.receive(udp(), &info(4).body("application/dtmf", "5").text());
    world.receive(udp(), &request(udp(), "INFO", 1).header("Info-Package: dtmf").text());
    assert_eq!(world.statuses(), [405; 3]);
    assert!(world.events.is_empty(), "the call goes on");
    assert_eq!(world.endpoint.load().sessions, 1);
}

// RFC 8224: nobody here asks who signed it. PBXs send more History-Info than fits a page.
#[test]
fn long_header_fields_are_no_matter_on_datagrams_and_on_streams() {
    let entry = "<sip:+15555551234@pbx.example.com;user=phone?Reason=SIP%3Bcause%3D302>;index=1.1";
    let history = format!("History-Info: {}", vec![entry; 300].join(", "));
    let identity = format!("y: {};info=<https://a/b.pem>;alg=ES256", "e".repeat(8 * 1024));
    for flow in [udp(), tls(1)] {
        let mut world = World::new();
        world.receive(flow, &invite(flow).header(&history).header(&identity).text());
        let (_, invite) = world.invited();
        assert_eq!(invite.after_authentication(), None);
        assert!(invite.headers.first("History-Info").is_some_and(|value| value.len() > 20_000));
    }
}

// RFC 3261 §18.3: what follows a body on a datagram is no part of it; a body that is short is 400.
#[test]
fn a_datagram_may_be_longer_than_it_says_and_not_shorter() {
    let mut world = World::new();
    let text = invite(udp()).text();
    world.receive(udp(), &format!("{text}trailing octets"));
    assert_eq!(world.invited().1.body, InviteBody::Sdp(SDP.as_bytes().into()));
    assert_eq!(status_of(&text[..text.len() - 1]).0, 400);
}
