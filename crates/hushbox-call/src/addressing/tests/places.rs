//! Who asks, and what a name means there: accounts, hosts, digit rules, the catch-all mailbox.

use super::*;

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
