//! Whole calls over IPv6, media included: TLS, and UDP and TCP on the lab listeners.

use std::net::UdpSocket;
use std::time::Duration;

use hushbox_load::client::Plan;
use hushbox_load::measure;
use hushbox_load::scenario;
use hushbox_load::sdp::Security;
use hushbox_load::transport::Transport;
use hushbox_tests::calls::{delivered, forwarded, leave_at_once, listen, owner, run, speech};
use hushbox_tests::trial::{Trial, warn_not_tested};

/// Over lab listeners, without a certificate and keys.
fn on_lab(mut plan: Plan, trial: &Trial, transport: Transport, listener: &str) -> Plan {
    (plan.transport, plan.address) = (transport, trial.address(listener));
    plan.security = Security::Plain;
    plan.identity.certificate = None;
    plan.identity.ca = None;
    plan
}

#[test]
fn a_message_is_left_and_heard_over_ipv6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return warn_not_tested("IPv6: this machine has none");
    }
    let free = "[::1]:0";
    let trial = Trial::start(&["--sip-tls", free, "--lab-udp", free, "--lab-tcp", free]);
    for listener in ["tls", "lab_udp", "lab_tcp"] {
        assert!(trial.address(listener).is_ipv6(), "{}", trial.ready());
    }
    let sent = speech(60, Duration::from_secs(2));
    for (count, (transport, listener)) in (1..).zip([
        (Transport::Udp, "lab_udp"),
        (Transport::Tcp, "lab_tcp"),
        (Transport::Tls, "tls"),
    ]) {
        let plan = forwarded(&trial, "2001");
        let plan = match transport {
            Transport::Tls => plan,
            Transport::Udp | Transport::Tcp => on_lab(plan, &trial, transport, listener),
        };
        let left = run(scenario::call(&plan, &leave_at_once(&sent))).expect("a call");
        assert!(left.is_ok(), "{listener}: {:?} {:?}", left.refusal, left.steps);
        assert_eq!(delivered(&trial, "2001", count).len(), count);
    }
    // The first that is played, which came over UDP.
    let (plan, pin) = owner(&trial, "2001");
    let heard = run(scenario::call(&plan, &listen(&pin, &sent))).expect("a call");
    assert!(heard.is_ok(), "{:?} {:?}", heard.refusal, heard.steps);
    let comparison = measure::compare(&sent, heard.heard_during("find")).expect("heard");
    assert!(comparison.is_same(), "{comparison:?}");
}
