//! A PBX that is told of lamps without having subscribed, as messages see it.

use std::sync::Arc;
use std::time::Duration;

use hushbox_policy::Now;
use hushbox_sip::mwi::MessageSummary;
use hushbox_sip::{ConnectionId, Destination, Flow, Transport};
use hushbox_store::model::Entity;
use hushbox_store::{Counts, Directory};

use super::tests::{flow, signalling};
use super::{Input, MwiNews, Output, Peer, Signalling};
use crate::mwi::Answer;
use crate::testing::{TRUNK, directory, mailbox_id, now};

const PBX: &str = "198.51.100.9";

/// The usual directory, with the trunk that serves both accounts told there.
fn told_at(target: Option<&str>) -> Arc<Directory> {
    let before = directory();
    let entities = before.entities().map(|entity| match entity {
        Entity::Trunk(mut trunk) if trunk.id == TRUNK => {
            trunk.mwi = target.map(|target| target.parse().unwrap());
            Entity::Trunk(trunk)
        }
        other => other,
    });
    Arc::new(Directory::of(entities.collect::<Vec<_>>()).unwrap())
}

/// A server, and a PBX that listens.
struct Pbx {
    signalling: Signalling,
    now: Now,
    counts: Counts,
    /// Whether its name leads anywhere, and whether it takes connections.
    found: bool,
    listens: bool,
    located: usize,
    connected: Vec<Destination>,
    flow: Option<Flow>,
    sent: Vec<String>,
    news: Vec<MwiNews>,
}

impl Pbx {
    fn new() -> Self {
        Pbx {
            signalling: signalling(),
            now: now(),
            counts: Counts::default(),
            found: true,
            listens: true,
            located: 0,
            connected: Vec::new(),
            flow: None,
            sent: Vec::new(),
            news: Vec::new(),
        }
    }

    fn told(target: &str) -> Self {
        let mut pbx = Pbx::new();
        pbx.input(Input::Restore(Vec::new()));
        pbx.input(Input::Directory(told_at(Some(target))));
        pbx
    }

    fn input(&mut self, input: Input<'_>) {
        self.signalling.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            let next = match self.signalling.poll_output() {
                Output::Timeout(_) => return,
                Output::Count(mailbox) => Input::Counted { mailbox, counts: Some(self.counts) },
                Output::Locate { look_up, target } => {
                    self.located += 1;
                    let name = Some(target.host().to_owned());
                    let remote = format!("{PBX}:5061").parse().unwrap();
                    let place = Destination::new(Transport::Tls, remote, name);
                    let destinations = if self.found { vec![place] } else { Vec::new() };
                    Input::Located { look_up, destinations }
                }
                Output::Connect { attempt, destination } => {
                    self.connected.push(destination);
                    if self.listens {
                        let mut flow = flow(Transport::Tls, PBX);
                        flow.connection = Some(ConnectionId(self.connected.len() as u64 + 10));
                        self.flow = Some(flow);
                        Input::Opened { attempt, flow, peer: Peer::Trunk(TRUNK) }
                    } else {
                        Input::Unopened { attempt }
                    }
                }
                Output::Transmit { bytes, .. } => {
                    self.sent.push(String::from_utf8_lossy(&bytes).into_owned());
                    continue;
                }
                Output::Mwi { trunk, news } => {
                    assert_eq!(trunk, Some(TRUNK));
                    self.news.push(news);
                    continue;
                }
                _ => continue,
            };
            self.signalling.handle_input(self.now, next);
        }
    }

    fn advance(&mut self, secs: u64) {
        for _ in 0..secs {
            self.now.monotonic += Duration::from_secs(1);
            self.now.utc += Duration::from_secs(1);
            self.input(Input::Timeout);
        }
    }

    fn change(&mut self, number: &str, new: u64) {
        self.counts.new = new;
        self.input(Input::MailboxChanged(mailbox_id(number)));
    }

    /// Answers everything that it was told; the numbers of which mailboxes.
    fn answers(&mut self, status: u16, more: &str) -> Vec<String> {
        let mut numbers = Vec::new();
        while !self.sent.is_empty() {
            for notify in std::mem::take(&mut self.sent) {
                let number = notify.strip_prefix("NOTIFY sip:").expect(&notify);
                numbers.push(number.split('@').next().unwrap().to_owned());
                let copied = |line: &&str| {
                    ["Via:", "From:", "To:", "Call-ID:", "CSeq:"]
                        .iter()
                        .any(|n| line.starts_with(n))
                };
                let lines: Vec<_> = notify.split("\r\n").filter(copied).collect();
                let lines = lines.join("\r\n");
                let flow = self.flow.expect("a connection");
                let text =
                    format!("SIP/2.0 {status} X\r\n{lines}\r\n{more}Content-Length: 0\r\n\r\n");
                self.input(Input::StreamData { flow, bytes: text.as_bytes() });
            }
        }
        numbers
    }

    fn lamp(&self, number: &str) -> super::Lamp {
        self.signalling.lamps(mailbox_id(number)).1[0]
    }
}

fn body(notify: &str) -> MessageSummary {
    let (_, body) = notify.split_once("\r\n\r\n").unwrap();
    MessageSummary::parse(body.as_bytes()).unwrap()
}

#[test]
fn every_mailbox_of_its_accounts_is_told_by_a_request_of_its_own() {
    let mut pbx = Pbx::told("sip:pbx.example:5061");
    let notify = pbx.sent[0].clone();
    for line in [
        "NOTIFY sip:1001@pbx.example:5061 SIP/2.0",
        "From: <sip:voicemail@clinic.example>;tag=",
        "To: <sip:1001@pbx.example>\r\n",
        "CSeq: 1 NOTIFY\r\n",
        "Contact: <sip:voicemail@",
        "Event: message-summary\r\n",
        "Subscription-State: active\r\n",
        "Content-Type: application/simple-message-summary\r\n",
        "Message-Account: sip:1001@pbx.example\r\n",
    ] {
        assert!(notify.contains(line), "{line}: {notify}");
    }
    assert!(!body(&notify).is_waiting());
    assert_eq!(pbx.connected.len(), 1, "one connection for all");
    assert_eq!(pbx.connected[0].name.as_deref(), Some("pbx.example"));
    // Doctor's is a mailbox that nobody has.
    assert_eq!(pbx.answers(200, ""), ["1001", "1002", "2001"]);
    pbx.advance(5);
    pbx.change("1001", 2);
    assert_eq!(body(&pbx.sent[0]).voice.new, 2);
    assert_eq!(pbx.answers(200, ""), ["1001"]);
    pbx.advance(5);
    pbx.change("1001", 0);
    assert!(!body(&pbx.sent[0]).is_waiting());
    assert_eq!(pbx.answers(200, ""), ["1001"]);
    let lamp = pbx.lamp("1001");
    assert_eq!(lamp.subscription, None);
    assert_eq!(lamp.owner, hushbox_store::CertificateOwner::Trunk(TRUNK));
    assert!(!lamp.report.pending);
    assert_eq!(pbx.news, []);
}

#[test]
fn where_it_is_named_by_an_address_the_account_s_domain_is_the_message_account() {
    let pbx = Pbx::told("sip:198.51.100.9");
    assert!(pbx.sent[0].starts_with("NOTIFY sip:1001@198.51.100.9 SIP/2.0\r\n"), "{}", pbx.sent[0]);
    assert!(
        pbx.sent[0].contains("Message-Account: sip:1001@clinic.example\r\n"),
        "{}",
        pbx.sent[0]
    );
}

#[test]
fn what_it_knows_is_not_told_again_and_after_a_restart_it_knows_nothing() {
    let mut pbx = Pbx::told("sip:pbx.example");
    pbx.answers(200, "");
    pbx.advance(1000);
    assert_eq!(pbx.answers(200, ""), [""; 0]);
    // Another change of the directory tells nothing; another place tells everything.
    pbx.input(Input::Directory(told_at(Some("sip:pbx.example"))));
    assert_eq!(pbx.answers(200, ""), [""; 0]);
    pbx.input(Input::Directory(told_at(Some("sip:other.example"))));
    assert_eq!(pbx.answers(200, "").len(), 3);
    pbx.input(Input::Directory(told_at(None)));
    pbx.change("1001", 1);
    pbx.advance(400);
    assert_eq!(pbx.answers(200, ""), [""; 0]);
    assert_eq!(pbx.signalling.lamps(mailbox_id("1001")).1, []);

    let mut again = Pbx::new();
    again.signalling.directory = told_at(Some("sip:pbx.example"));
    again.input(Input::Restore(Vec::new()));
    assert_eq!(again.answers(200, "").len(), 3);
}

#[test]
fn one_that_is_down_is_asked_by_one_notify_at_a_time_and_told_everything_when_it_is_back() {
    let mut pbx = Pbx::new();
    pbx.listens = false;
    pbx.input(Input::Restore(Vec::new()));
    pbx.input(Input::Directory(told_at(Some("sip:pbx.example"))));
    assert_eq!(pbx.news, [MwiNews::Unreachable]);
    assert_eq!(pbx.lamp("1001").report.told.unwrap().answer, Some(Answer::NoWay));
    pbx.advance(3600);
    assert!(pbx.connected.len() < 20, "{} connections were tried", pbx.connected.len());
    pbx.counts.new = 3;
    pbx.listens = true;
    let mut told = Vec::new();
    for _ in 0..1300 {
        pbx.advance(1);
        assert!(pbx.sent.iter().all(|notify| body(notify).voice.new == 3), "what is so now");
        told.extend(pbx.answers(200, ""));
    }
    told.sort();
    assert_eq!(told, ["1001", "1002", "2001"]);
    assert_eq!(pbx.news, [MwiNews::Unreachable, MwiNews::Reachable]);
}

#[test]
fn one_whose_name_leads_nowhere_is_looked_for_again() {
    let mut pbx = Pbx::new();
    pbx.found = false;
    pbx.input(Input::Restore(Vec::new()));
    pbx.input(Input::Directory(told_at(Some("sip:pbx.example"))));
    pbx.advance(14);
    assert_eq!((pbx.located, pbx.news.as_slice()), (1, &[MwiNews::Unreachable][..]));
    assert_eq!(pbx.lamp("1001").report.told, None);
    pbx.found = true;
    pbx.advance(1);
    assert_eq!(pbx.answers(200, "").len(), 3);
}

#[test]
fn one_that_takes_no_such_notify_is_said_to_once_and_left_alone() {
    for status in [401, 403, 404, 405, 481, 489, 501] {
        let mut pbx = Pbx::told("sip:pbx.example");
        assert_eq!(pbx.answers(status, "").len(), 3);
        assert_eq!(pbx.news, [MwiNews::Refused(status)], "once, not for each mailbox");
        assert_eq!(pbx.lamp("1001").report.told.unwrap().answer, Some(Answer::Refused(status)));
        pbx.advance(10);
        pbx.change("1001", 4);
        pbx.advance(280);
        assert_eq!(pbx.answers(status, ""), [""; 0], "{status}");
        pbx.advance(20);
        assert_eq!(pbx.answers(200, "").len(), 3, "{status}");
        assert_eq!(pbx.lamp("1001").report.taken.unwrap().new, 4);
    }
}

#[test]
fn a_bad_moment_is_waited_for_as_long_as_it_says() {
    let mut pbx = Pbx::told("sip:pbx.example");
    assert_eq!(pbx.answers(503, "Retry-After: 100\r\n").len(), 3);
    assert_eq!(pbx.news, [MwiNews::Unreachable]);
    pbx.advance(99);
    assert_eq!(pbx.answers(200, ""), [""; 0]);
    pbx.advance(1);
    assert_eq!(pbx.answers(200, "").len(), 3);

    let mut pbx = Pbx::told("sip:pbx.example");
    pbx.answers(480, "");
    assert_eq!(pbx.news, []);
    pbx.advance(15);
    assert_eq!(pbx.answers(200, "").len(), 3);
}

#[test]
fn one_that_does_not_answer_is_told_again_with_what_is_so_then() {
    let mut pbx = Pbx::told("sip:pbx.example");
    let first = pbx.sent.len();
    pbx.sent.clear();
    pbx.counts.new = 1;
    pbx.advance(33);
    assert_eq!(pbx.lamp("1001").report.told.unwrap().answer, Some(Answer::None));
    assert_eq!((first, pbx.news.as_slice()), (3, &[MwiNews::Unreachable][..]));
    pbx.advance(15);
    assert_eq!(pbx.sent.len(), 1, "one asks whether it is there");
    assert_eq!(body(&pbx.sent[0]).voice.new, 1);
}

#[test]
fn a_mailbox_that_is_removed_or_no_longer_served_is_told_no_more() {
    let mut pbx = Pbx::told("sip:pbx.example");
    pbx.answers(200, "");
    let before = told_at(Some("sip:pbx.example"));
    let entities = before.entities().map(|entity| match entity {
        Entity::Trunk(mut trunk) if trunk.id == TRUNK => {
            trunk.accounts.truncate(1);
            Entity::Trunk(trunk)
        }
        other => other,
    });
    let changed = Arc::new(Directory::of(entities.collect::<Vec<_>>()).unwrap());
    pbx.input(Input::Directory(changed));
    pbx.change("2001", 1);
    pbx.advance(10);
    assert_eq!(pbx.answers(200, ""), [""; 0]);
    assert_eq!(pbx.signalling.lamps(mailbox_id("2001")).1, []);
    assert_eq!(pbx.signalling.lamps(mailbox_id("1001")).1.len(), 1);
}
