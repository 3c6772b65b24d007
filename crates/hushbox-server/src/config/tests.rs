//! The configuration: what is valid, and that every mistake is named at once.

use std::path::Path;

use super::{RtpPorts, parse};

fn problems(text: &str) -> Vec<String> {
    match parse(text, Path::new("/etc/hushbox/hushbox.toml")) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_reference_configuration_is_valid_and_says_the_defaults() {
    let text = include_str!("../../../../config/hushbox.toml");
    let file = Path::new("/etc/hushbox/hushbox.toml");
    let mut reference = parse(text, file).expect("the reference configuration");
    // The bare one has no lines that name them.
    reference.files.iter_mut().for_each(|file| file.line = None);
    let bare = parse("[listen]\ntls = \"127.0.0.1:5061\"\n", file).expect("a bare configuration");
    assert_eq!(reference, bare);
}

#[test]
fn every_mistake_is_named_at_once_with_its_key_and_line() {
    let found = problems(
        "[listen]\ntls = \"nowhere\"\nlab_udp = \"192.0.2.1:5060\"\nspeed = 3\n\n[media]\nrtp_ports = \"9-8\"\nshards = \"two\"\n[limits]\ncalls_max = 0\n[mail]\nx = 1\n",
    );
    let starts = [
        "line 2: listen.tls: ",
        "line 3: listen.lab_udp: ",
        "line 4: listen.speed: is not a key",
        "line 7: media.rtp_ports: ",
        "line 8: media.shards: must be a whole number",
        "line 10: limits.calls_max: 0 is outside of 1 to 100000",
        "line 11: mail: is not a section",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found} should start with {start}");
    }
}

#[test]
fn broken_toml_names_the_line_and_the_rest_is_still_checked() {
    let found = problems("[listen]\ntls = \n[limits]\ncalls_max = -1\n");
    assert!(found.iter().any(|line| line.starts_with("line 2: not TOML")), "{found:?}");
    assert!(found.iter().any(|line| line.starts_with("line 4: limits.calls_max")), "{found:?}");
}

#[test]
fn a_lab_listener_off_loopback_needs_to_be_insisted_on() {
    assert_eq!(problems("[listen]\nlab_udp = \"192.0.2.1:5060\"\n").len(), 1);
    assert!(
        problems("[listen]\nlab_udp = \"192.0.2.1:5060\"\nlab_beyond_loopback = true\n").is_empty()
    );
}

#[test]
fn metrics_off_loopback_need_to_be_insisted_on() {
    let text = "[listen]\ntls = \"127.0.0.1:5061\"\n[ops]\nlisten = \"192.0.2.1:9464\"\n";
    let found = problems(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("line 4: ops.listen: is not on loopback"), "{found:?}");
    assert!(problems(&format!("{text}beyond_loopback = true\n")).is_empty());
    let text = "[listen]\ntls = \"127.0.0.1:5061\"\n[ops]\nlisten = \"[::1]:0\"\n";
    assert!(problems(text).is_empty());
}

#[test]
fn a_lab_listener_that_the_command_line_moves_off_loopback_is_refused_by_its_key() {
    let text = "[listen]\nlab_udp = \"127.0.0.1:5060\"\n";
    let mut config = parse(text, Path::new("/d/hushbox.toml")).expect("valid");
    assert_eq!(config.check_lab(), Ok(()));
    config.lab_tcp = Some("192.0.2.1:5060".parse().expect("an address"));
    let problems = config.check_lab().expect_err("refused").to_string();
    assert!(problems.starts_with("listen.lab_tcp: "), "{problems}");
    config.lab_beyond_loopback = true;
    assert_eq!(config.check_lab(), Ok(()));
}

#[test]
fn the_advertised_address_is_one_that_callers_can_send_to() {
    assert!(problems("[listen]\ntls = \"0.0.0.0:5061\"\n").is_empty());
    let text = "[listen]\ntls = \"0.0.0.0:5061\"\n[media]\nadvertised_address = \"0.0.0.0\"\n";
    assert_eq!(problems(text).len(), 1);
    let text = "[listen]\ntls = \"0.0.0.0:5061\"\n[media]\nadvertised_address = \"192.0.2.7\"\n";
    assert!(problems(text).is_empty());
}

#[test]
fn media_is_of_one_family() {
    let text = |listen: &str, media: &str| {
        format!("[listen]\ntls = \"{listen}\"\n[media]\nadvertised_address = \"{media}\"\n")
    };
    assert!(problems(&text("[::]:5061", "2001:db8::7")).is_empty());
    for (listen, media) in [("[::]:5061", "192.0.2.7"), ("0.0.0.0:5061", "2001:db8::7")] {
        let found = problems(&text(listen, media));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("line 4: media.advertised_address: "), "{found:?}");
    }
}

#[test]
fn a_port_range_counts_pairs_of_an_even_and_the_next_port() {
    let pairs = |text: &str| text.parse::<RtpPorts>().map(RtpPorts::pairs);
    assert_eq!(pairs("16000-16003"), Ok(2));
    assert_eq!(pairs("16001-16004"), Ok(1));
    assert!(pairs("16001-16002").is_err());
    assert!(pairs("80-90").is_err());
    assert_eq!(pairs("65534-65535"), Ok(1));
}

const REGISTRATION: &str = "[listen]\ntls = \"127.0.0.1:5061\"\n[[registration]]\naddress = \"sip:5000@clinic.example\"\npassword_file = \"pbx.password\"\n";

#[test]
fn a_registration_needs_an_address_and_a_password_and_has_defaults_for_the_rest() {
    let config = parse(REGISTRATION, Path::new("/etc/hushbox/hushbox.toml")).expect("valid");
    let [one] = config.registrations.as_slice() else { panic!("one registration") };
    assert_eq!(one.address.text(), "sip:5000@clinic.example");
    assert_eq!(one.target.host(), "clinic.example");
    assert_eq!((one.username.as_str(), one.contact_user.as_str()), ("5000", "5000"));
    assert_eq!(one.password_file, Path::new("/etc/hushbox/pbx.password"));
    assert_eq!((one.expires.as_secs(), one.keep_alive.as_secs()), (3_600, 120));
    assert_eq!((one.route.as_deref(), one.allow_md5, one.line), (None, false, 3));
    assert_eq!(config.server_cas, config.client_cas);
    let proxied = format!("{REGISTRATION}outbound_proxy = \"sip:edge.example;transport=tls\"\n");
    let config = parse(&proxied, Path::new("/etc/hushbox/hushbox.toml")).expect("valid");
    let one = &config.registrations[0];
    assert_eq!(one.target.host(), "edge.example");
    assert_eq!(one.route.as_deref(), Some("<sip:edge.example;transport=tls;lr>"));
}

#[test]
fn mistakes_in_a_registration_are_named_with_their_lines() {
    let found = problems(
        "[listen]\ntls = \"127.0.0.1:5061\"\n[[registration]]\naddress = \"5000\"\nregistrar = \"tel:1\"\npassword = \"x\"\n[[registration]]\naddress = \"sip:5000@a.example\"\nregistrar = \"sip:a.example;transport=tcp\"\npassword_file = \"p\"\nallow_md5 = true\nexpires_secs = 5\ncontact_user = \"a@b\"\n",
    );
    let starts = [
        "line 3: registration.password_file: is missing",
        "line 4: registration.address: ",
        "line 5: registration.registrar: ",
        "line 6: registration.password: is not a key",
        "line 9: registration.registrar: needs listen.lab_tcp",
        "line 11: registration.allow_md5: MD5 is answered over TLS only",
        "line 12: registration.expires_secs: 5 is outside of 60 to 86400",
        "line 13: registration.contact_user: ",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found} should start with {start}");
    }
    assert_eq!(
        problems("[listen]\ntls = \"127.0.0.1:5061\"\n[registration]\naddress = \"sip:a@b\"\n"),
        ["line 3: registration: is a list: write [[registration]], one for each"]
    );
}

#[test]
fn every_file_that_is_not_there_is_named_with_its_key_and_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[listen]\ntls = \"127.0.0.1:5061\"\n[tls]\ncertificate = \"nofile\"\nclient_cas = [\"ca.pem\", \"gone.pem\"]\n[[registration]]\naddress = \"sip:5000@clinic.example\"\npassword_file = \"no.password\"\n";
    std::fs::write(folder.path().join("ca.pem"), "").expect("written");
    let config = parse(text, &folder.path().join("hushbox.toml")).expect("valid");
    let said = config.check_files().expect_err("files are missing").to_string();
    let folder = folder.path().display();
    for part in [
        ": 4 mistakes\n".to_owned(),
        format!("line 4: tls.certificate: {folder}/nofile: No such file"),
        format!("\ntls.key: {folder}/tls/server.key: No such file"),
        format!("line 5: tls.client_cas: {folder}/gone.pem: No such file"),
        format!("line 8: registration.password_file: {folder}/no.password: No such file"),
    ] {
        assert!(said.contains(&part), "{part:?} in {said}");
    }
}

#[test]
fn a_number_beyond_all_ranges_is_told_its_range_and_what_is_no_toml_nothing_else() {
    let listen = "[listen]\ntls = \"127.0.0.1:5061\"\n";
    let found = problems(&format!("{listen}[limits]\ncalls_max = 999999999999999999999\n"));
    assert!(found.len() == 1 && found[0].contains("is outside of 1 to 100000"), "{found:?}");
    let found = problems("[listen\ntls = 1\n");
    assert!(found.iter().all(|one| !one.contains("give at least one")), "{found:?}");
}

#[test]
fn a_registration_by_md5_is_said_to_be_weaker() {
    let exceptions = |text: &str| {
        let config = parse(text, Path::new("/etc/hushbox/hushbox.toml")).expect("valid");
        crate::exceptions::of_config(&config)
    };
    assert!(exceptions(REGISTRATION).is_empty());
    let weak = exceptions(&format!("{REGISTRATION}allow_md5 = true\n"));
    assert!(weak.len() == 1 && weak[0].starts_with("line 3: registration.allow_md5"), "{weak:?}");
}
