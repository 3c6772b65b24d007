//! Many requests, each with the mailbox, the greeting and the reasons that it must have.

use super::*;
use crate::testing::{OTHER_TRUNK, TRUNK, device_id, directory, mailbox_id};
use bytes::Bytes;
use hushbox_policy::Diverted;
use hushbox_sip::{ConnectionId, Flow, Headers, OwnedUri, Transport};
use hushbox_store::model::{CertificateBinding, Entity};
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};

fn shared() -> Arc<Directory> {
    static DIRECTORY: OnceLock<Arc<Directory>> = OnceLock::new();
    Arc::clone(DIRECTORY.get_or_init(directory))
}

fn invite(uri: &str, headers: &[(&str, &str)]) -> Invite {
    let address = "198.51.100.7:5061".parse().unwrap();
    let connection = Some(ConnectionId(1));
    let flow = Flow { transport: Transport::Tls, local: address, remote: address, connection };
    let mut invite = Invite::new(flow, OwnedUri::parse(uri).expect(uri));
    let fields = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes())));
    invite.headers = Headers::new(fields.collect());
    invite
}

/// What becomes of it, and after a bar what was left aside.
fn said(directory: &Directory, trunk: &Trunk, lab: bool, invite: &Invite) -> String {
    let question = Question { directory, asker: Asker::Trunk(trunk), lab, product: "Hushbox/0.1" };
    text(&resolve(&question, invite))
}

fn text(resolution: &Resolution<'_>) -> String {
    let outcome = match &resolution.outcome {
        Outcome::Deposit(Chosen { mailbox, rule, way, cause }) => format!(
            "{} {} {way:?} {}",
            mailbox.number,
            rule.map_or("-", AddressRule::as_str),
            cause.map_or("-", Cause::as_str)
        ),
        Outcome::Retrieval => "*97".to_owned(),
        Outcome::Loop(found) => found.status().to_string(),
        Outcome::Nobody => "404".to_owned(),
    };
    let ignored = resolution.ignored.iter().map(|i| {
        let place = i.place.as_ref().map(|p| format!(" {p}")).unwrap_or_default();
        format!(" | {}{place} {}", i.rule.as_str(), i.why.as_str())
    });
    outcome + &ignored.collect::<String>()
}

/// The trunk of both accounts, with these settings.
fn trunk(addressing: Addressing) -> Trunk {
    let mut trunk = shared().trunk(TRUNK).unwrap().clone();
    trunk.addressing = addressing;
    trunk
}

/// Request-URI, header fields, what must become of it.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[track_caller]
fn check(trunk: &Trunk, cases: &[Case<'_>]) {
    let directory = shared();
    for (uri, headers, expected) in cases {
        let got = said(&directory, trunk, false, &invite(uri, headers));
        assert_eq!(got, *expected, "{uri} {headers:?}");
    }
}

const VM: &str = "sip:vm@192.0.2.1";

#[test]
fn a_target_names_the_mailbox_and_its_cause_the_greeting() {
    let usual = "sip:vm@192.0.2.1;target=sip:1001%40clinic.example;cause=";
    let rest = " | request-uri names-no-mailbox";
    let directory = shared();
    let trunk = trunk(Addressing::default());
    for (cause, greeting) in [
        // RFC 4458 §2.2, and what is no cause of it.
        ("404", "unavailable"),
        ("408", "no-answer"),
        ("486", "busy"),
        ("600", "busy"),
        ("302", "unconditional"),
        ("487", "unavailable"),
        ("480", "unavailable"),
        ("503", "unavailable"),
        ("380", "-"),
        ("200", "-"),
        ("busy", "-"),
    ] {
        let got = said(&directory, &trunk, false, &invite(&format!("{usual}{cause}"), &[]));
        assert_eq!(got, format!("1001 target Number {greeting}{rest}"), "{cause}");
    }
    check(
        &trunk,
        &[
            (
                "sip:vm@clinic.example;target=sip%3a1001%40clinic.example",
                &[],
                "1001 target Number - | request-uri names-no-mailbox",
            ),
            (
                "sip:clinic.example;target=1001;cause=486",
                &[],
                "1001 target Number busy | request-uri names-no-mailbox",
            ),
            (
                "sip:vm@192.0.2.1;target=tel:1002;cause=408",
                &[],
                "1002 target Number no-answer | request-uri names-no-mailbox",
            ),
            (
                "sip:vm@192.0.2.1;target=sip:2001%40192.0.2.9",
                &[],
                "2001 target Number - | request-uri names-no-mailbox",
            ),
            (
                "sip:*97@192.0.2.1;target=sip:1001%40192.0.2.9;cause=486",
                &[],
                "1001 target Number busy | request-uri later-rule",
            ),
            (
                "sip:1001@192.0.2.1;target=sip:1001%40192.0.2.9",
                &[],
                "1001 target Number - | request-uri says-the-same",
            ),
            ("sip:1001@192.0.2.1;cause=486", &[], "1001 request-uri Number busy"),
        ],
    );
}

#[test]
fn a_target_that_names_nobody_is_not_made_good_by_other_places() {
    let diverted: &[(&str, &str)] = &[("Diversion", "<sip:1001@192.0.2.9>;reason=user-busy")];
    check(
        &trunk(Addressing::default()),
        &[
            (
                "sip:1002@192.0.2.1;target=sip:9999%40192.0.2.9",
                diverted,
                "404 | target names-no-mailbox | diversion later-rule | request-uri later-rule",
            ),
            (
                "sip:1002@192.0.2.1;target=sip:1001%40elsewhere.example",
                diverted,
                "404 | target other-place | diversion later-rule | request-uri later-rule",
            ),
            // One that can't be read says nothing: the others are asked.
            (
                "sip:vm@192.0.2.1;target=http:1",
                diverted,
                "1001 diversion Number busy | target unreadable | request-uri names-no-mailbox",
            ),
        ],
    );
}

#[test]
fn diversion_gives_the_mailbox_of_whom_the_caller_wanted_first() {
    check(
        &trunk(Addressing::default()),
        &[
            (
                VM,
                &[("Diversion", "<sip:1001@192.0.2.9>;reason=no-answer;counter=1")],
                "1001 diversion Number no-answer | request-uri names-no-mailbox",
            ),
            (
                VM,
                &[(
                    "Diversion",
                    "\"Dr. B\" <sip:1002@192.0.2.9>;reason=no-answer, <sip:1001@192.0.2.9>;reason=user-busy",
                )],
                "1001 diversion Number busy | diversion 1 not-this-diversion | request-uri names-no-mailbox",
            ),
            (
                VM,
                &[
                    ("Diversion", "<sip:1002@192.0.2.9>;reason=no-answer"),
                    ("Diversion", "<sip:1001@192.0.2.9>;reason=user-busy"),
                ],
                "1001 diversion Number busy | diversion 1 not-this-diversion | request-uri names-no-mailbox",
            ),
            // From outside, then forwarded inside.
            (
                VM,
                &[(
                    "Diversion",
                    "<sip:1001@192.0.2.9>;reason=unconditional, <sip:+15551234567@192.0.2.99>;reason=deflection",
                )],
                "1001 diversion Number unconditional | diversion 2 names-no-mailbox | request-uri names-no-mailbox",
            ),
            (
                VM,
                &[("Diversion", "<sip:anonymous@anonymous.invalid>;reason=away")],
                "404 | diversion 1 other-place | request-uri names-no-mailbox",
            ),
            (
                VM,
                &[("Diversion", "<sip:1001@192.0.2.9>;reason=unknown")],
                "1001 diversion Number - | request-uri names-no-mailbox",
            ),
            (
                VM,
                &[("Diversion", "broken, <tel:1001>;reason=time-of-day")],
                "1001 diversion Number unconditional | diversion 1 unreadable | request-uri names-no-mailbox",
            ),
            (
                "sip:1001@192.0.2.1",
                &[("Diversion", "<sip:1001@192.0.2.9>;reason=user-busy")],
                "1001 diversion Number busy | request-uri says-the-same",
            ),
            (
                "sip:1002@192.0.2.1",
                &[("Diversion", "<sip:1001@192.0.2.9>;reason=user-busy")],
                "1001 diversion Number busy | request-uri later-rule",
            ),
            (
                "sip:1002@192.0.2.1",
                &[("Diversion", "<sip:9999@192.0.2.9>;reason=user-busy")],
                "1002 request-uri Number - | diversion 1 names-no-mailbox",
            ),
        ],
    );
    let newest = Addressing { diverted: Diverted::Newest, ..Addressing::default() };
    check(
        &trunk(newest),
        &[(
            VM,
            &[(
                "Diversion",
                "<sip:1002@192.0.2.9>;reason=no-answer, <sip:1001@192.0.2.9>;reason=user-busy",
            )],
            "1002 diversion Number no-answer | diversion 2 not-this-diversion | request-uri names-no-mailbox",
        )],
    );
}

#[test]
fn history_info_tells_who_diverted_and_why() {
    check(
        &trunk(Addressing::default()),
        &[
            // RFC 7131, voicemail: an address, its contact that did not answer, the voicemail.
            (
                VM,
                &[(
                    "History-Info",
                    "<sip:1001@clinic.example>;index=1, <sip:1001@192.0.2.4?Reason=SIP%3Bcause%3D408>;index=1.1;rc=1, <sip:vm@192.0.2.1;cause=408>;index=1.2;mp=1",
                )],
                "1001 history-info Number no-answer | request-uri names-no-mailbox",
            ),
            // The cause stands only where the call went to (3GPP TS 24.604).
            (
                VM,
                &[(
                    "History-Info",
                    "<sip:1001@clinic.example>;index=1,<sip:1002@clinic.example;cause=486>;index=1.1;mp=1,<sip:vm@192.0.2.1;cause=302>;index=1.1.1;mp=1.1",
                )],
                "1001 history-info Number busy | history-info 1.1 not-this-diversion | request-uri names-no-mailbox",
            ),
            // RFC 4244: no tags, a Reason without escapes.
            (
                VM,
                &[(
                    "History-Info",
                    "<sip:1002@clinic.example?Reason=SIP; cause=302; text=\"Moved\">;index=1, <sip:vm@192.0.2.1>;index=1.1",
                )],
                "1002 history-info Number unconditional | request-uri names-no-mailbox",
            ),
            (
                VM,
                &[(
                    "History-Info",
                    "<sip:1002@192.0.2.9>;index=1, <sip:1001@192.0.2.9?Reason=Q.850%3Bcause%3D17>;index=1.1, <sip:vm@192.0.2.1>;index=1.2",
                )],
                "1002 history-info Number - | history-info 1.1 not-this-diversion | request-uri names-no-mailbox",
            ),
            // Lines in any order; one that is broken.
            (
                VM,
                &[
                    (
                        "History-Info",
                        "<sip:vm@192.0.2.1>;index=1.2;mp=1, <sip:1001@clinic.example?Privacy=history&Reason=SIP%3Bcause%3D486>;index=1",
                    ),
                    ("History-Info", "<sip:1002@clinic.example>;index=x"),
                ],
                "1001 history-info Number busy | history-info unreadable | request-uri names-no-mailbox",
            ),
            // Not diverted at all: it came straight to a number, by way of a gateway.
            (
                "sip:1001@192.0.2.1",
                &[(
                    "History-Info",
                    "<sip:1002@clinic.example>;index=1, <sip:1001@192.0.2.1>;index=1.1;rc=1",
                )],
                "1001 request-uri Number - | history-info 1 not-diverted",
            ),
            (
                "sip:*97@192.0.2.1",
                &[(
                    "History-Info",
                    "<sip:*97@clinic.example>;index=1, <sip:*97@192.0.2.1>;index=1.1;rc=1",
                )],
                "*97 | history-info 1 not-diverted",
            ),
            // It comes before Diversion.
            (
                VM,
                &[
                    ("Diversion", "<sip:1002@192.0.2.9>;reason=away"),
                    ("History-Info", "<sip:1001@192.0.2.9?Reason=SIP%3Bcause%3D486>;index=1"),
                ],
                "1001 history-info Number busy | diversion later-rule | request-uri names-no-mailbox",
            ),
            // What is missing in one, another may know.
            (
                VM,
                &[
                    ("Diversion", "<sip:1001@192.0.2.9>;reason=user-busy"),
                    ("History-Info", "<sip:1001@192.0.2.9>;index=1"),
                ],
                "1001 history-info Number busy | diversion says-the-same | request-uri names-no-mailbox",
            ),
        ],
    );
    let newest = Addressing { diverted: Diverted::Newest, ..Addressing::default() };
    check(
        &trunk(newest),
        &[(
            VM,
            &[(
                "History-Info",
                "<sip:1001@clinic.example>;index=1,<sip:1002@clinic.example;cause=486>;index=1.1;mp=1,<sip:vm@192.0.2.1;cause=302>;index=1.1.1;mp=1.1",
            )],
            "1002 history-info Number unconditional | history-info 1 not-this-diversion | request-uri names-no-mailbox",
        )],
    );
}

#[test]
fn every_order_and_every_trust_is_kept() {
    use AddressRule::{Diversion as D, HistoryInfo as H, RequestUri as R, Target as T};
    let uri = "sip:2001@192.0.2.1;target=1001;cause=408";
    let headers: &[(&str, &str)] = &[
        ("History-Info", "<sip:1002@192.0.2.9?Reason=SIP%3Bcause%3D486>;index=1"),
        ("Diversion", "<sip:2001@192.0.2.9>;reason=away"),
    ];
    let of = |order: &[AddressRule], trusted: &[AddressRule]| Addressing {
        order: order.to_vec(),
        trusted: trusted.iter().copied().collect(),
        ..Addressing::default()
    };
    for (order, trusted, expected) in [
        (
            &[T, H, D, R][..],
            &[T, H, D][..],
            "1001 target Number no-answer | history-info later-rule | diversion later-rule | request-uri later-rule",
        ),
        (
            &[H, T, D, R],
            &[T, H, D],
            "1002 history-info Number busy | target later-rule | diversion later-rule | request-uri later-rule",
        ),
        (
            &[D, R],
            &[T, H, D],
            "2001 diversion Number unavailable | target not-in-order | history-info not-in-order | request-uri says-the-same",
        ),
        (
            &[R, D],
            &[T, H, D],
            "2001 request-uri Number no-answer | target not-in-order | history-info not-in-order | diversion says-the-same",
        ),
        (
            &[T, H, D, R],
            &[D],
            "2001 diversion Number unavailable | target not-trusted | history-info not-trusted | request-uri says-the-same",
        ),
        (
            &[T, H, D, R],
            &[],
            "2001 request-uri Number - | target not-trusted | history-info not-trusted | diversion not-trusted",
        ),
        (
            &[D],
            &[],
            "404 | target not-in-order | history-info not-in-order | diversion not-trusted | request-uri not-in-order",
        ),
    ] {
        check(&trunk(of(order, trusted)), &[(uri, headers, expected)]);
    }
}

#[test]
fn a_telephone_is_believed_nothing_but_its_request_uri() {
    let directory = shared();
    let ask = |uri: &str, headers: &[(&str, &str)]| {
        let device = directory.device(device_id("c7001")).unwrap();
        let asker = Asker::Device(device);
        let question = Question { directory: &directory, asker, lab: false, product: "Hushbox" };
        text(&resolve(&question, &invite(uri, headers)))
    };
    let diverted: &[(&str, &str)] = &[("Diversion", "<sip:1002@clinic.example>;reason=user-busy")];
    assert_eq!(
        ask("sip:1001@clinic.example;target=1002;cause=486", diverted),
        "1001 request-uri Number - | target not-in-order | diversion not-in-order"
    );
    assert_eq!(ask("sip:2001@clinic.example", &[]), "404 | request-uri names-no-mailbox");
    assert_eq!(ask("sip:2001@trial.example", &[]), "404 | request-uri other-account");
    assert_eq!(ask("sip:%2a97@clinic.example", &[]), "*97");
    assert_eq!(ask("sip:*97@trial.example", &[]), "*97");
}

#[test]
fn digit_rules_make_a_did_a_mailbox() {
    let digits = ["+15555551XXX=1XXX", "9XXXX=XXXX", "55501=1002"].map(|r| r.parse().unwrap());
    let trunk = trunk(Addressing { digits: digits.to_vec(), ..Addressing::default() });
    check(
        &trunk,
        &[
            ("sip:+15555551001@192.0.2.1", &[], "1001 request-uri Digits(1) -"),
            ("sip:+1-555-555-1001@192.0.2.1;user=phone", &[], "1001 request-uri Digits(1) -"),
            ("sip:+15555551001;phone-context=x@192.0.2.1", &[], "1001 request-uri Digits(1) -"),
            ("tel:+1(555)555-1002", &[], "1002 request-uri Digits(1) -"),
            ("sip:92001@192.0.2.1", &[], "2001 request-uri Digits(2) -"),
            ("sip:55501@192.0.2.1", &[], "1002 request-uri Digits(3) -"),
            // A mailbox of that number comes before any rule; a rule that makes nobody is none.
            ("sip:1001@192.0.2.1", &[], "1001 request-uri Number -"),
            ("sip:+15555551999@192.0.2.1", &[], "404 | request-uri names-no-mailbox"),
            (
                "sip:vm@192.0.2.1;target=tel:+15555551001;cause=486",
                &[],
                "1001 target Digits(1) busy | request-uri names-no-mailbox",
            ),
            (
                VM,
                &[("Diversion", "<tel:+1-555-555-1001>;reason=no-answer")],
                "1001 diversion Digits(1) no-answer | request-uri names-no-mailbox",
            ),
            // At the domain of another account it is that account's.
            ("sip:+15555551001@trial.example", &[], "404 | request-uri names-no-mailbox"),
        ],
    );
}

#[test]
fn an_address_at_another_place_is_nobody_here() {
    let at = |host: &str| format!("<sip:1001@{host}>;reason=user-busy");
    let mut trunk =
        trunk(Addressing { hosts: vec!["PBX.clinic.test".to_owned()], ..Addressing::default() });
    trunk.certificate = Some(CertificateBinding::AuthorityAndName {
        authority: None,
        name: "sip:pbx.own.test".to_owned(),
    });
    for (host, reached) in [
        ("clinic.example", true),
        ("CLINIC.example:5061", true),
        ("192.0.2.9", true),
        ("[2001:db8::1]", true),
        ("vm.request.test", true),
        ("pbx.clinic.test", true),
        ("pbx.own.test", true),
        ("trial.example", false),
        ("other-hospital.example", false),
        ("clinic.example.evil.test", false),
    ] {
        let call = invite("sip:vm@vm.request.test", &[("Diversion", &at(host))]);
        let got = said(&shared(), &trunk, false, &call);
        assert_eq!(got.starts_with("1001 diversion"), reached, "{host}: {got}");
    }
    // An account that the trunk does not serve: known, and not its.
    let other = shared().trunk(OTHER_TRUNK).unwrap().clone();
    check(
        &other,
        &[
            ("sip:1001@clinic.example", &[], "404 | request-uri other-account"),
            ("sip:vm@clinic.example;target=2001", &[], "404 | request-uri other-account"),
            (
                VM,
                &[("Diversion", "<sip:1001@clinic.example>")],
                "404 | diversion 1 other-account | request-uri names-no-mailbox",
            ),
            (
                VM,
                &[("Diversion", "<sip:1001@192.0.2.9>")],
                "404 | diversion 1 names-no-mailbox | request-uri names-no-mailbox",
            ),
        ],
    );
}

#[test]
fn a_catch_all_mailbox_takes_what_is_nobodys_and_nothing_else() {
    let catch_all =
        |number| Addressing { catch_all: Some(mailbox_id(number)), ..Addressing::default() };
    check(
        &trunk(catch_all("1002")),
        &[
            ("sip:9999@192.0.2.1", &[], "1002 - CatchAll - | request-uri names-no-mailbox"),
            ("sip:192.0.2.1", &[], "1002 - CatchAll - | request-uri names-no-mailbox"),
            (
                "sip:9999@clinic.example;cause=486",
                &[],
                "1002 - CatchAll busy | request-uri names-no-mailbox",
            ),
            (
                "sip:vm@192.0.2.1;target=9999",
                &[],
                "1002 - CatchAll - | target names-no-mailbox | request-uri names-no-mailbox",
            ),
            ("sip:1001@192.0.2.1", &[], "1001 request-uri Number -"),
            ("sip:*97@192.0.2.1", &[], "*97"),
            // Somebody else's, and said so.
            (
                "sip:vm@192.0.2.1;target=sip:1001%40elsewhere.example",
                &[],
                "404 | target other-place | request-uri names-no-mailbox",
            ),
        ],
    );
    // On lab, what is of a hipaa account does not exist: not even for the catch-all.
    let directory = shared();
    for (number, uri, expected) in [
        ("2001", "sip:9999@127.0.0.1", "2001 - CatchAll - | request-uri names-no-mailbox"),
        ("2001", "sip:1001@127.0.0.1", "404 | request-uri not-on-lab"),
        ("2001", "sip:9999@clinic.example", "404 | request-uri not-on-lab"),
        (
            "2001",
            "sip:vm@127.0.0.1;target=1001",
            "404 | target not-on-lab | request-uri names-no-mailbox",
        ),
        ("1002", "sip:9999@127.0.0.1", "404 | request-uri names-no-mailbox"),
    ] {
        let got = said(&directory, &trunk(catch_all(number)), true, &invite(uri, &[]));
        assert_eq!(got, expected, "{uri}");
    }
}

#[test]
fn a_voicemail_server_that_calls_another_is_a_loop() {
    let pilot = "sip:vm@192.0.2.1;target=1001;cause=408";
    let direct = "sip:1001@192.0.2.1";
    let deposit = "1001 target Number no-answer";
    let directory = shared();
    let trunk = trunk(Addressing::default());
    for (uri, headers, expected) in [
        // Our own product in front, of any version.
        (direct, &[("User-Agent", "Hushbox/9.9 (Linux)")][..], "480"),
        (direct, &[("Server", "hushbox")], "480"),
        (direct, &[("User-Agent", "hushbox-load/0.1")], "1001 request-uri Number -"),
        (direct, &[("User-Agent", "Asterisk PBX 22")], "1001 request-uri Number -"),
        // This mailbox's voicemail has diverted the call already.
        (
            pilot,
            &[("Diversion", "<sip:vm@192.0.2.1;target=sip:1001%40192.0.2.9>;reason=unconditional")],
            "482",
        ),
        (
            VM,
            &[(
                "Diversion",
                "<sip:1001@192.0.2.9>;reason=user-busy, <sip:vm@192.0.2.1>;reason=no-answer, <sip:1001@192.0.2.9>",
            )],
            "482",
        ),
        (pilot, &[("Diversion", "<sip:other@192.0.2.1;target=sip:1002%40192.0.2.9>")], deposit),
        // Its person diverts to it: what every deposit is.
        (
            direct,
            &[("Diversion", "<sip:1001@192.0.2.1>;reason=user-busy")],
            "1001 diversion Number busy",
        ),
        // It was there, went on to somebody, and is here again.
        (
            pilot,
            &[(
                "History-Info",
                "<sip:1001@clinic.example>;index=1, <sip:vm@192.0.2.1;target=1001>;index=1.1;mp=1, <sip:5550100@192.0.2.9>;index=1.1.1;mp=1.1, <sip:vm@192.0.2.1;target=1001>;index=1.1.1.1;mp=1.1.1",
            )],
            "482",
        ),
        (
            pilot,
            &[(
                "History-Info",
                "<sip:vm@192.0.2.7;target=1001>;index=1, <sip:1001@192.0.2.9>;index=1.1",
            )],
            "482",
        ),
        // Every hop on the way here is an entry.
        (
            pilot,
            &[(
                "History-Info",
                "<sip:1001@clinic.example>;index=1, <sip:vm@vm.example;target=1001>;index=1.1;mp=1, <sip:vm@192.0.2.1;target=1001>;index=1.1.1;rc=1.1",
            )],
            deposit,
        ),
        // Another person's voicemail handed it over.
        (
            pilot,
            &[(
                "History-Info",
                "<sip:vm@192.0.2.7;target=1002>;index=1, <sip:1001@192.0.2.9>;index=1.1",
            )],
            deposit,
        ),
    ] {
        let got = said(&directory, &trunk, false, &invite(uri, headers));
        assert!(got.starts_with(expected), "{uri} {headers:?}: {got}");
    }
    // It is found in headers that are not trusted, too; and `*97` goes nowhere.
    let mut distrusted = trunk.clone();
    distrusted.addressing.trusted.clear();
    let looping = [("Diversion", "<sip:vm@192.0.2.7;target=1001>")];
    assert!(said(&directory, &distrusted, false, &invite(direct, &looping)).starts_with("482"));
    let ours = [("User-Agent", "Hushbox/0.1")];
    assert_eq!(said(&directory, &trunk, false, &invite("sip:*97@192.0.2.1", &ours)), "*97");
}

#[test]
fn what_is_said_of_a_call_holds_no_number_but_the_mailboxs() {
    let directory = shared();
    let trunk = trunk(Addressing::default());
    let call = invite(
        "sip:vm@192.0.2.1",
        &[(
            "Diversion",
            "<sip:1001@192.0.2.9>;reason=user-busy, \"Mary Major\" <sip:+15551234567@h>",
        )],
    );
    let question = Question {
        directory: &directory,
        asker: Asker::Trunk(&trunk),
        lab: false,
        product: "Hushbox",
    };
    let resolution = resolve(&question, &call);
    let mut words = resolution.outcome.sentence();
    for ignored in &resolution.ignored {
        words += &format!("\n{ignored}");
    }
    assert!(
        words.starts_with("mailbox 1001 by diversion (its number), greeting busy\n"),
        "{words}"
    );
    assert!(words.contains("\ndiversion 2: its host name is neither"), "{words}");
    for secret in ["5551234567", "Mary", "192.0.2"] {
        assert!(!words.contains(secret), "{words}");
    }
}

#[test]
fn a_catch_all_mailbox_of_an_account_that_is_not_served_is_no_directory() {
    let directory = shared();
    let with = |addressing: Addressing| {
        let entities = directory.entities().map(|entity| match entity {
            Entity::Trunk(mut trunk) if trunk.id == OTHER_TRUNK => {
                trunk.addressing = addressing.clone();
                Entity::Trunk(trunk)
            }
            other => other,
        });
        Directory::of(entities.collect::<Vec<_>>()).is_ok()
    };
    let catch_all =
        |number| Addressing { catch_all: Some(mailbox_id(number)), ..Addressing::default() };
    assert!(with(catch_all("2001")));
    assert!(!with(catch_all("1001")), "not its account's");
    assert!(!with(catch_all("9999")), "not there");
    assert!(!with(Addressing { order: Vec::new(), ..Addressing::default() }));
}

fn header() -> impl Strategy<Value = (&'static str, String)> {
    let word = prop::sample::select(vec![
        "<sip:1001@192.0.2.9>",
        "<sip:1002@clinic.example>",
        "<sip:vm@192.0.2.1;target=1001>",
        ",",
        ";index=1",
        ";index=1.1",
        ";mp=1",
        ";rc=1",
        ";reason=user-busy",
        "<sip:",
        "1001",
        "@",
        ">",
        "?Reason=SIP%3Bcause%3D486",
        "\"",
        " ",
        "<tel:+15555551001>",
        "é",
    ]);
    let name = prop::sample::select(vec!["Diversion", "History-Info", "User-Agent"]);
    (name, prop::collection::vec(word, 0..12).prop_map(|words| words.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_request_breaks_it_and_its_own_numbers_alone_are_reached(
        headers in prop::collection::vec(header(), 0..5),
        uri in prop::sample::select(vec![VM, "sip:1001@192.0.2.1", "sip:vm@trial.example;target=2001"]),
    ) {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let directory = shared();
        let other = directory.trunk(OTHER_TRUNK).unwrap();
        let question = Question {
            directory: &directory, asker: Asker::Trunk(other), lab: false, product: "Hushbox",
        };
        if let Outcome::Deposit(chosen) = resolve(&question, &invite(uri, &headers)).outcome {
            prop_assert!(other.accounts.contains(&chosen.mailbox.account));
        }
    }

    #[test]
    fn what_is_not_trusted_changes_no_mailbox(
        headers in prop::collection::vec(header(), 0..5),
        uri in prop::sample::select(vec![VM, "sip:1001@192.0.2.1", "sip:2001@trial.example;target=1001"]),
    ) {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let trunk = trunk(Addressing { trusted: [].into(), ..Addressing::default() });
        let directory = shared();
        let outcome = |headers: &[(&str, &str)]| {
            let question = Question {
                directory: &directory, asker: Asker::Trunk(&trunk), lab: false, product: "Hushbox",
            };
            match resolve(&question, &invite(uri, headers)).outcome {
                Outcome::Deposit(c) => Some(c.mailbox.number.to_string()),
                _ => None,
            }
        };
        let with = outcome(&headers);
        prop_assert!(with.is_none() || with == outcome(&[]));
    }
}
