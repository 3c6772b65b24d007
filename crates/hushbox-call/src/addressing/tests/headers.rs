//! `target`, History-Info, Diversion: which mailbox, which greeting, in which order.

use super::*;

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
