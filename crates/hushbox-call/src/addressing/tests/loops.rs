//! Loops, and what an operator reads.

use super::*;

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
