//! PBXs whose connection is gone are connected to, for their lamps and for their calls.

use hushbox_policy::CallId;
use hushbox_sip::{ConnectionId, Flow, Reason, Transport};

use super::subscription_tests::Phone;
use super::tests::device;
use super::{FromSignalling, Input, Output, Peer, ToSignalling};
use crate::testing::{TRUNK, mailbox_id};

/// What a PBX whose connection is gone does when one is opened to it.
fn connected_to(mut pbx: Phone, listens: bool) -> (Phone, Vec<hushbox_sip::Destination>) {
    let mut connected = Vec::new();
    let at = |output: &Output| matches!(output, Output::Locate { .. } | Output::Connect { .. });
    while let Some(next) = pbx.outputs.iter().position(at) {
        match pbx.outputs.remove(next) {
            Output::Locate { look_up, target } => {
                assert_eq!(target.host(), "phone", "its Contact");
                let remote = "198.51.100.7:5061".parse().unwrap();
                let name = Some(target.host().to_owned());
                let by = |transport| hushbox_sip::Destination::new(transport, remote, name.clone());
                let destinations = vec![by(Transport::Tcp), by(Transport::Tls)];
                pbx.input(Input::Located { look_up, destinations });
            }
            Output::Connect { attempt, destination } => {
                connected.push(destination);
                pbx.flow.connection = Some(ConnectionId(9));
                let flow = pbx.flow;
                pbx.input(if listens {
                    Input::Opened { attempt, flow, peer: Peer::Trunk(TRUNK) }
                } else {
                    Input::Unopened { attempt }
                });
            }
            _ => {}
        }
    }
    (pbx, connected)
}

/// A PBX with a subscription whose connection is gone, and whose mailbox has a new message.
fn pbx_that_is_gone(peer: Peer) -> Phone {
    let mut pbx = Phone::new(peer);
    pbx.subscribed();
    let flow = pbx.flow;
    pbx.input(Input::StreamClosed { flow });
    pbx.advance(5);
    pbx.outputs.clear();
    pbx.counts.new = 1;
    pbx.input(Input::MailboxChanged(mailbox_id("1001")));
    assert_eq!(pbx.take_sent(), [""; 0]);
    pbx
}

#[test]
fn a_pbx_whose_connection_is_gone_is_connected_to_and_told() {
    let (mut pbx, connected) = connected_to(pbx_that_is_gone(Peer::Trunk(TRUNK)), true);
    assert_eq!(connected.len(), 1, "never in the clear: {connected:?}");
    assert_eq!(connected[0].transport, Transport::Tls);
    assert_eq!(connected[0].name.as_deref(), Some("phone"));
    let notify = pbx.answers(200);
    assert!(notify.contains("Voice-Message: 1/0"), "{notify}");
    let lamp = pbx.signalling.lamps(mailbox_id("1001")).1[0];
    assert!(!lamp.report.pending && lamp.report.taken.is_some_and(|taken| taken.new == 1));
}

#[test]
fn a_pbx_that_takes_no_connection_is_tried_again_later_and_a_telephone_never() {
    let (mut pbx, connected) = connected_to(pbx_that_is_gone(Peer::Trunk(TRUNK)), false);
    assert_eq!(connected.len(), 1);
    pbx.advance(14);
    let (mut pbx, connected) = connected_to(pbx, true);
    assert_eq!(connected.len(), 0);
    pbx.advance(1);
    let (mut pbx, connected) = connected_to(pbx, true);
    assert_eq!(connected.len(), 1);
    pbx.answers(200);

    let (_, connected) = connected_to(pbx_that_is_gone(device("c7001")), true);
    assert_eq!(connected.len(), 0);
}

#[test]
fn a_pbx_is_told_after_a_restart_by_a_connection_of_ours() {
    let mut pbx = Phone::new(Peer::Trunk(TRUNK));
    pbx.subscribed();
    let row = pbx.kept.pop().expect("kept");
    let mut pbx = Phone::new(Peer::Nobody);
    pbx.counts.new = 2;
    pbx.input(Input::Restore(vec![row]));
    let (mut pbx, _) = connected_to(pbx, true);
    assert!(pbx.answers(200).contains("Voice-Message: 2/0"));
}

impl Phone {
    /// Leaves a message, and is answered; what is told to the call is in the outputs from here on.
    fn calls(&mut self, transport: Transport) -> CallId {
        let (via, mailbox) = match transport {
            Transport::Tls => ("TLS", "1001@clinic"),
            Transport::Tcp | Transport::Udp => ("TCP", "2001@trial"),
        };
        let number = self.flow.connection.map_or(0, |connection| connection.0);
        let request = |method: &str, to_tag: &str| {
            format!(
                "{method} sip:{mailbox}.example SIP/2.0\r\nVia: SIP/2.0/{via} phone;branch=z9hG4bK{method}{number}\r\n\
                 From: <sip:9@clinic.example>;tag=p\r\nTo: <sip:{mailbox}.example>{to_tag}\r\n\
                 Call-ID: call{number}\r\nCSeq: 1 {method}\r\nContact: <sip:9@phone>\r\n\
                 Content-Length: 0\r\n\r\n"
            )
        };
        self.says(&request("INVITE", ""));
        let started = |output: &Output| match output {
            Output::Start(setup) => Some(setup.id),
            _ => None,
        };
        let call = self.outputs.iter().find_map(started).expect("admitted");
        let sdp = bytes::Bytes::from_static(b"v=0\r\n");
        self.input(Input::Call { call, says: ToSignalling::Answer(sdp) });
        let ok = self.take_sent().pop().expect("a 200");
        let to = ok.split("\r\n").find(|line| line.starts_with("To:")).unwrap();
        let tag = to.rsplit_once(";tag=").unwrap().1;
        self.says(&request("ACK", &format!(";tag={tag}")));
        self.outputs.clear();
        call
    }

    fn loses_its_connection(&mut self) {
        let flow = self.flow;
        self.input(Input::StreamClosed { flow });
    }

    fn is_told_that_it_ended(&self) -> bool {
        let told = |output: &Output| {
            matches!(output, Output::ToCall { says: FromSignalling::Ended(_), .. })
        };
        self.outputs.iter().any(told)
    }

    fn hangs_up(&mut self, call: CallId) {
        let reason = Reason::normal_clearing();
        self.input(Input::Call { call, says: ToSignalling::HangUp(reason) });
        self.input(Input::Call { call, says: ToSignalling::Over });
    }
}

#[test]
fn the_bye_of_a_pbxs_call_goes_by_a_connection_of_ours() {
    let mut pbx = Phone::new(Peer::Trunk(TRUNK));
    let call = pbx.calls(Transport::Tls);
    pbx.loses_its_connection();
    assert!(!pbx.is_told_that_it_ended(), "media goes on, and so does the call");
    pbx.hangs_up(call);
    assert!(!pbx.signalling.is_quiet(), "a server that stops waits for it");
    let (mut pbx, connected) = connected_to(pbx, true);
    assert_eq!(connected.len(), 1, "never in the clear: {connected:?}");
    assert_eq!(connected[0].transport, Transport::Tls);
    assert!(pbx.answers(200).starts_with("BYE sip:9@phone "));
    assert!(pbx.signalling.is_quiet());
    assert_eq!(pbx.signalling.endpoint_load().sessions, 0);
}

#[test]
fn a_pbx_that_is_down_is_not_connected_to_for_each_of_its_calls() {
    let mut pbx = Phone::new(Peer::Trunk(TRUNK));
    let call = pbx.calls(Transport::Tls);
    pbx.loses_its_connection();
    pbx.hangs_up(call);
    let (mut pbx, connected) = connected_to(pbx, false);
    assert_eq!(connected.len(), 1);
    assert!(pbx.signalling.is_quiet());
    pbx.connect(2, Peer::Trunk(TRUNK));
    pbx.advance(33);
    let call = pbx.calls(Transport::Tls);
    pbx.loses_its_connection();
    pbx.hangs_up(call);
    let (mut pbx, connected) = connected_to(pbx, false);
    assert_eq!(connected.len(), 1, "33 seconds later it is tried again");
    pbx.connect(3, Peer::Trunk(TRUNK));
    pbx.advance(5);
    let call = pbx.calls(Transport::Tls);
    pbx.loses_its_connection();
    pbx.hangs_up(call);
    let (pbx, connected) = connected_to(pbx, true);
    assert_eq!(connected.len(), 0, "and 5 seconds later it is not");
    assert!(pbx.signalling.is_quiet());
    assert_eq!(pbx.signalling.endpoint_load().sessions, 0);
}

#[test]
fn a_telephone_is_not_connected_to_and_its_call_ends_all_the_same() {
    let mut phone = Phone::new(device("c7001"));
    let call = phone.calls(Transport::Tls);
    phone.loses_its_connection();
    assert!(!phone.is_told_that_it_ended());
    phone.hangs_up(call);
    let (phone, connected) = connected_to(phone, true);
    assert_eq!(connected.len(), 0);
    assert!(phone.signalling.is_quiet());
    assert_eq!(phone.signalling.endpoint_load().sessions, 0);
}

#[test]
fn a_pbx_on_lab_is_connected_to_by_tcp() {
    let mut pbx = Phone::new(Peer::Nobody);
    pbx.flow =
        Flow { transport: Transport::Tcp, remote: "127.0.0.1:40000".parse().unwrap(), ..pbx.flow };
    let call = pbx.calls(Transport::Tcp);
    pbx.loses_its_connection();
    assert!(!pbx.is_told_that_it_ended(), "its address is known");
    pbx.hangs_up(call);
    let (mut pbx, connected) = connected_to(pbx, true);
    assert_eq!(connected.len(), 1);
    assert_eq!(connected[0].transport, Transport::Tcp);
    assert!(pbx.answers(200).starts_with("BYE "));
}
