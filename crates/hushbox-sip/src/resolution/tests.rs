//! Zones as tables, and what RFC 3263 makes of them.

use super::*;

const ALL: [Transport; 3] = [Transport::Tls, Transport::Tcp, Transport::Udp];
const TLS: [Transport; 1] = [Transport::Tls];

/// A zone: name, kind, records.
type Zone<'a> = &'a [(&'a str, Kind, Vec<Record>)];

fn target(uri: &str) -> Option<Target> {
    Target::of(&OwnedUri::parse(uri).expect("a URI"))
}

fn naptr(order: u16, service: &str, replacement: &str) -> Record {
    Record::Naptr {
        order,
        preference: 50,
        flags: "s".to_owned(),
        service: service.to_owned(),
        replacement: replacement.to_owned(),
    }
}

fn srv(priority: u16, port: u16, target: &str) -> Record {
    Record::Srv { priority, weight: 0, port, target: target.to_owned() }
}

fn address(text: &str) -> Record {
    Record::Address(text.parse().expect("an address"))
}

/// What a URI leads to, and what was asked on the way.
fn resolve(uri: &str, allowed: &[Transport], zone: Zone<'_>) -> (Vec<String>, Vec<String>) {
    let target = target(uri).expect("a target");
    let mut resolution = Resolution::new(target, allowed, [4; 32]);
    let mut asked = Vec::new();
    loop {
        match resolution.step() {
            Step::Ask(question) => {
                asked.push(format!("{:?} {}", question.kind, question.name));
                let found = zone
                    .iter()
                    .find(|(name, kind, _)| *name == question.name && *kind == question.kind);
                resolution.answer(found.map_or_else(Vec::new, |(_, _, records)| records.clone()));
            }
            Step::Done(found) => {
                let shown = |d: &Destination| {
                    let name = d.name.as_deref().map(|name| format!(" as {name}"));
                    format!("{:?} {}{}", d.transport, d.remote, name.unwrap_or_default())
                };
                return (found.iter().map(shown).collect(), asked);
            }
        }
    }
}

#[test]
fn an_address_is_asked_about_by_nobody() {
    let found = |uri, allowed: &[Transport]| resolve(uri, allowed, &[]);
    let none = Vec::<String>::new();
    let only = |text: &str| (vec![text.to_owned()], none.clone());
    assert_eq!(found("sip:192.0.2.1", &ALL), only("Udp 192.0.2.1:5060"));
    assert_eq!(found("sip:192.0.2.1:5070;transport=tcp", &ALL), only("Tcp 192.0.2.1:5070"));
    assert_eq!(found("sips:[2001:db8::1]", &ALL), only("Tls [2001:db8::1]:5061 as 2001:db8::1"));
    assert_eq!(found("sip:192.0.2.1", &TLS), only("Tls 192.0.2.1:5061 as 192.0.2.1"));
}

#[test]
fn the_example_of_rfc_3263_4_1_goes_by_naptr_srv_and_addresses() {
    let zone: Zone<'_> = &[
        (
            "example.com",
            Kind::Naptr,
            vec![
                naptr(100, "SIP+D2U", "_sip._udp.example.com."),
                naptr(90, "SIP+D2T", "_sip._tcp.example.com."),
                naptr(50, "SIPS+D2T", "_sips._tcp.example.com."),
                naptr(10, "SIP+D2S", "_sip._sctp.example.com."),
            ],
        ),
        (
            "_sips._tcp.example.com",
            Kind::Srv,
            vec![srv(2, 5061, "server2.example.com."), srv(1, 5061, "server1.example.com.")],
        ),
        ("_sip._tcp.example.com", Kind::Srv, vec![srv(1, 5060, "server1.example.com.")]),
        ("server1.example.com", Kind::A, vec![address("192.0.2.1")]),
        ("server1.example.com", Kind::Aaaa, vec![address("2001:db8::1")]),
        ("server2.example.com", Kind::A, vec![address("192.0.2.2")]),
    ];
    let (found, asked) = resolve("sip:example.com", &ALL, zone);
    // RFC 5922 §4: the server proves the name that was asked for.
    let expected = [
        "Tls [2001:db8::1]:5061 as example.com",
        "Tls 192.0.2.1:5061 as example.com",
        "Tls 192.0.2.2:5061 as example.com",
        "Tcp [2001:db8::1]:5060",
        "Tcp 192.0.2.1:5060",
    ];
    assert_eq!(found, expected);
    assert_eq!(asked[0], "Naptr example.com");
    assert_eq!(asked[1], "Srv _sips._tcp.example.com");
    let (secure, _) = resolve("sips:example.com", &ALL, zone);
    assert_eq!(secure, expected[..3], "sips stays on TLS");
    let (allowed, _) = resolve("sip:example.com", &TLS, zone);
    assert_eq!(allowed, expected[..3], "so does what must");
}

#[test]
fn without_naptr_services_are_asked_for_by_transport() {
    let zone: Zone<'_> = &[
        ("_sip._udp.example.com", Kind::Srv, vec![srv(1, 5080, "a.example.com")]),
        ("a.example.com", Kind::A, vec![address("192.0.2.1")]),
    ];
    let (found, asked) = resolve("sip:example.com", &ALL, zone);
    assert_eq!(found, ["Udp 192.0.2.1:5080"]);
    assert_eq!(
        asked[..4],
        [
            "Naptr example.com",
            "Srv _sips._tcp.example.com",
            "Srv _sip._tcp.example.com",
            "Srv _sip._udp.example.com"
        ]
    );
}

#[test]
fn a_named_transport_skips_naptr_and_a_port_skips_srv() {
    let zone: Zone<'_> = &[
        ("_sip._tcp.example.com", Kind::Srv, vec![srv(1, 5080, "a.example.com")]),
        ("a.example.com", Kind::A, vec![address("192.0.2.1")]),
        ("example.com", Kind::A, vec![address("192.0.2.9")]),
    ];
    let (found, asked) = resolve("sip:example.com;transport=tcp", &ALL, zone);
    assert_eq!(found, ["Tcp 192.0.2.1:5080"]);
    assert_eq!(asked[0], "Srv _sip._tcp.example.com");
    let (found, asked) = resolve("sip:example.com:5090;transport=tls", &ALL, zone);
    assert_eq!(found, ["Tls 192.0.2.9:5090 as example.com"]);
    assert_eq!(asked, ["Aaaa example.com", "A example.com"]);
    let (found, _) = resolve("sip:example.com:5090", &ALL, zone);
    assert_eq!(found, ["Udp 192.0.2.9:5090"]);
}

#[test]
fn a_name_without_services_is_a_host() {
    let zone: Zone<'_> =
        &[("pbx.example.com", Kind::A, vec![address("192.0.2.9"), address("192.0.2.10")])];
    let (found, asked) = resolve("sip:pbx.example.com", &TLS, zone);
    let expected =
        ["Tls 192.0.2.9:5061 as pbx.example.com", "Tls 192.0.2.10:5061 as pbx.example.com"];
    assert_eq!(found, expected);
    assert_eq!(asked.last().map(String::as_str), Some("A pbx.example.com"));
}

#[test]
fn a_service_that_is_declared_absent_is_not_looked_for_elsewhere() {
    let zone: Zone<'_> = &[
        ("_sips._tcp.example.com", Kind::Srv, vec![srv(0, 0, ".")]),
        ("example.com", Kind::A, vec![address("192.0.2.9")]),
    ];
    assert!(resolve("sip:example.com", &TLS, zone).0.is_empty());
}

#[test]
fn what_leads_nowhere_is_an_empty_list() {
    assert!(resolve("sip:example.com", &ALL, &[]).0.is_empty());
    assert!(resolve("sip:example.com;transport=udp", &TLS, &[]).0.is_empty());
    assert!(resolve("sip:192.0.2.1", &[], &[]).0.is_empty());
    for uri in ["tel:+15550100", "sips:a.example;transport=udp", "sip:a.example;transport=sctp"] {
        assert_eq!(target(uri), None, "{uri}");
    }
}

#[test]
fn a_zone_that_never_ends_is_left_after_so_many_questions() {
    let mut resolution = Resolution::new(target("sip:example.com").unwrap(), &ALL, [4; 32]);
    let mut asked = 0;
    let found = loop {
        match resolution.step() {
            Step::Ask(Question { kind: Kind::Naptr, .. }) => {
                let many = (0..1000).map(|i| naptr(i, "SIPS+D2T", &format!("s{i}.example.com")));
                resolution.answer(many.collect());
            }
            Step::Ask(Question { kind: Kind::Srv, name }) => {
                let many = (0..1000).map(|i| srv(i, 5061, &format!("h{i}.{name}")));
                resolution.answer(many.collect());
            }
            Step::Ask(_) => resolution.answer(Vec::new()),
            Step::Done(found) => break found,
        }
        asked += 1;
    };
    assert!(found.is_empty());
    assert_eq!(asked, limits::MAX_QUESTIONS);
    let mut resolution = Resolution::new(target("sip:h.example:5061").unwrap(), &ALL, [4; 32]);
    let many = (0..250).map(|i| Record::Address(IpAddr::from([192, 0, 2, i]))).collect();
    let _ = resolution.step();
    resolution.answer(Vec::new());
    let _ = resolution.step();
    resolution.answer(many);
    let Step::Done(found) = resolution.step() else { panic!("over") };
    assert_eq!(found.len(), limits::MAX_DESTINATIONS);
}

#[test]
fn records_of_another_kind_than_was_asked_for_count_for_nothing() {
    let mut resolution = Resolution::new(target("sip:h.example:5061").unwrap(), &ALL, [4; 32]);
    for _ in 0..2 {
        assert!(matches!(resolution.step(), Step::Ask(_)));
        resolution.answer(vec![srv(1, 1, "x"), naptr(1, "SIP+D2U", "x")]);
    }
    assert_eq!(resolution.step(), Step::Done(Vec::new()));
}
