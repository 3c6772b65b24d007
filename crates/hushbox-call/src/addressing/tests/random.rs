//! Any request at all.

use super::*;

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
