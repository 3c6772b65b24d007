//! Who may watch which mailbox, and what a telephone sees of it.

use std::sync::Arc;
use std::time::Duration;

use hushbox_policy::Now;
use hushbox_sip::{ConnectionId, Flow, OwnedUri, Subscribe, Transport};
use hushbox_store::model::Entity;
use hushbox_store::{Counts, Directory, SubscriptionRow};

use super::tests::{device, flow, limited, signalling};
use super::{Asked, Input, Judgement, Output, Peer, Signalling, Why};
use crate::testing::{DIGEST_TRUNK, OTHER_TRUNK, TRUNK, directory, mailbox_id, now};

const REMOTE: &str = "198.51.100.7";

/// What becomes of a SUBSCRIBE with this Request-URI and To.
fn judged(peer: Peer, transport: Transport, remote: &str, uri: &str, to: &str) -> String {
    let mut signalling = signalling();
    let flow = flow(transport, remote);
    signalling.connected(flow, peer);
    let mut subscribe = Subscribe::new(flow, OwnedUri::parse(uri).unwrap());
    subscribe.to_uri = OwnedUri::parse(to).unwrap();
    match signalling.judge_subscribe(now(), &subscribe) {
        Ok((_, mailbox, account)) => {
            let number = signalling.directory.mailbox(mailbox).unwrap().number.to_string();
            let account = account.map_or(String::new(), |account| account.as_str().to_owned());
            format!("{number} as {account}")
        }
        Err(Judgement::Reject(rejection, _)) => rejection.status.to_string(),
        Err(Judgement::Challenge(_)) => "401".to_owned(),
    }
}

fn by(peer: Peer, uri: &str) -> String {
    judged(peer, Transport::Tls, REMOTE, uri, uri)
}

#[test]
fn a_stranger_is_challenged_whatever_the_number() {
    for uri in ["sip:1001@clinic.example", "sip:9999@nowhere", "sip:*97@clinic.example"] {
        assert_eq!(by(Peer::Nobody, uri), "401", "{uri}");
    }
    assert_eq!(by(Peer::Ambiguous, "sip:1001@clinic.example"), "403");
}

#[test]
fn a_telephone_watches_the_mailboxes_of_its_persons_and_nothing_else() {
    let phone = device("c7001");
    for (uri, expected) in [
        ("sip:1001@clinic.example", "1001 as sip:1001@clinic.example"),
        ("sip:1001@192.0.2.1", "1001 as sip:1001@clinic.example"),
        ("sip:1002@clinic.example", "403"),
        ("sip:9999@clinic.example", "403"),
        ("sip:1099@clinic.example", "403"),
        ("sip:2001@trial.example", "403"),
        // Its own name, the voicemail's number and nobody mean its own mailbox.
        ("sip:c7001@clinic.example", "1001 as sip:c7001@clinic.example"),
        ("sip:*97@clinic.example", "1001 as sip:1001@clinic.example"),
        ("sip:clinic.example", "1001 as sip:1001@clinic.example"),
        ("sip:c7002@clinic.example", "403"),
    ] {
        assert_eq!(by(phone, uri), expected, "{uri}");
    }
    assert_eq!(by(device("cboth"), "sip:1002@clinic.example"), "1002 as sip:1002@clinic.example");
    assert_eq!(by(device("cboth"), "sip:*97@clinic.example"), "403", "which of the two?");
    assert_eq!(by(device("cdesk"), "sip:*97@clinic.example"), "1002 as sip:1002@clinic.example");
    for nobody in ["cgone", "cnone"] {
        assert_eq!(by(device(nobody), "sip:1001@clinic.example"), "403", "{nobody}");
    }
    assert_eq!(by(device("c7099"), "sip:1099@clinic.example"), "1099 as sip:1099@clinic.example");
}

#[test]
fn a_pbx_watches_the_mailboxes_of_its_accounts() {
    let pbx = Peer::Trunk(TRUNK);
    for (uri, expected) in [
        ("sip:1001@clinic.example", "1001 as sip:1001@clinic.example"),
        ("sip:2001@pbx.example", "2001 as sip:2001@pbx.example"),
        ("sip:9999@pbx.example", "404"),
        ("sip:1099@clinic.example", "404"),
        ("sip:2001@clinic.example", "404"),
    ] {
        assert_eq!(by(pbx, uri), expected, "{uri}");
    }
    assert_eq!(by(Peer::Trunk(OTHER_TRUNK), "sip:1001@clinic.example"), "404");
    // A trunk with a password leaves messages, and that is all.
    assert_eq!(by(Peer::Trunk(DIGEST_TRUNK), "sip:1001@clinic.example"), "403");
    assert_eq!(by(Peer::Trunk(DIGEST_TRUNK), "sip:9999@clinic.example"), "403");
    // A telephone that subscribes to the voicemail's own number names itself in To.
    let own = "sip:*97@clinic.example";
    let to = "sip:1001@clinic.example";
    assert_eq!(judged(pbx, Transport::Tls, REMOTE, own, to), format!("1001 as {to}"));
    assert_eq!(by(pbx, own), "404");
    // What the Request-URI names is not made good by To.
    assert_eq!(judged(pbx, Transport::Tls, REMOTE, "sip:9999@clinic.example", to), "404");
}

#[test]
fn on_lab_nothing_of_a_hipaa_account_is_watched() {
    let lab = |uri: &str| judged(Peer::Nobody, Transport::Udp, "127.0.0.1", uri, uri);
    assert_eq!(lab("sip:2001@trial.example"), "2001 as sip:2001@trial.example");
    assert_eq!(lab("sip:1001@clinic.example"), "404");
    assert_eq!(lab("sip:1001@127.0.0.1"), "404");
    let uri = "sip:2001@trial.example";
    assert_eq!(judged(Peer::Nobody, Transport::Udp, "203.0.113.5", uri, uri), "401");
}

/// What was refused in these outputs: what it was for, with which status, and why.
fn refused(outputs: &[Output]) -> Vec<(Asked, u16, Why)> {
    let refused = |output: &Output| match output {
        Output::Refused(refused) => Some((refused.asked, refused.status, refused.why)),
        _ => None,
    };
    outputs.iter().filter_map(refused).collect()
}

/// A server and the telephone c7001 at a connection of it.
pub(super) struct Phone {
    pub(super) signalling: Signalling,
    pub(super) flow: Flow,
    now: Now,
    pub(super) outputs: Vec<Output>,
    pub(super) counts: Counts,
    pub(super) kept: Vec<SubscriptionRow>,
    forgotten: usize,
    sent: Vec<String>,
}

impl Phone {
    pub(super) fn new(peer: Peer) -> Self {
        Self::with_subscriptions(hushbox_sip::Limits::default().subscriptions_max, peer)
    }

    fn with_subscriptions(most: usize, peer: Peer) -> Self {
        let limits = hushbox_sip::Limits { subscriptions_max: most, ..Default::default() };
        let mut phone = Phone {
            signalling: limited(limits),
            flow: flow(Transport::Tls, REMOTE),
            now: now(),
            outputs: Vec::new(),
            counts: Counts::default(),
            kept: Vec::new(),
            forgotten: 0,
            sent: Vec::new(),
        };
        phone.connect(1, peer);
        phone
    }

    pub(super) fn connect(&mut self, connection: u64, peer: Peer) {
        self.flow.connection = Some(ConnectionId(connection));
        let flow = self.flow;
        self.input(Input::Connected { flow, peer });
    }

    /// Gives an input, counts where that is asked for, and notes what is kept and sent.
    pub(super) fn input(&mut self, input: Input<'_>) {
        self.signalling.handle_input(self.now, input);
        loop {
            match self.signalling.poll_output() {
                Output::Timeout(_) => return,
                Output::Count(mailbox) => {
                    let counts = Some(self.counts);
                    self.signalling.handle_input(self.now, Input::Counted { mailbox, counts });
                }
                Output::KeepSubscription(row) => self.kept.push(*row),
                Output::ForgetSubscription(_) => self.forgotten += 1,
                Output::Transmit { bytes, .. } => {
                    self.sent.push(String::from_utf8_lossy(&bytes).into_owned());
                }
                other => self.outputs.push(other),
            }
        }
    }

    pub(super) fn says(&mut self, text: &str) {
        let flow = self.flow;
        self.input(Input::StreamData { flow, bytes: text.as_bytes() });
    }

    fn subscribe(&mut self, cseq: u32, to_tag: &str, more: &str) {
        let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        self.says(&format!(
            "SUBSCRIBE sip:1001@clinic.example SIP/2.0\r\nVia: SIP/2.0/TLS phone;branch=z9hG4bK{cseq}\r\n\
             From: <sip:1001@clinic.example>;tag=p\r\nTo: <sip:1001@clinic.example>{to_tag}\r\n\
             Call-ID: mwi\r\nCSeq: {cseq} SUBSCRIBE\r\nContact: <sip:1001@phone>\r\n\
             Event: message-summary\r\n{more}Content-Length: 0\r\n\r\n"
        ));
    }

    pub(super) fn take_sent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sent)
    }

    /// Answers the only message that was sent, a request.
    #[track_caller]
    pub(super) fn answers(&mut self, status: u16) -> String {
        let sent = self.take_sent();
        let [request] = sent.as_slice() else { panic!("{sent:?}") };
        assert!(!request.starts_with("SIP/2.0"), "{request}");
        let copied = |line: &&str| {
            ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|n| line.starts_with(n))
        };
        let lines: Vec<_> = request.split("\r\n").filter(copied).collect();
        let lines = lines.join("\r\n");
        self.says(&format!("SIP/2.0 {status} X\r\n{lines}\r\nContent-Length: 0\r\n\r\n"));
        request.clone()
    }

    pub(super) fn advance(&mut self, secs: u64) {
        self.now.monotonic += Duration::from_secs(secs);
        self.now.utc += Duration::from_secs(secs);
        self.input(Input::Timeout);
    }

    /// Subscribes, and takes the first NOTIFY; our tag.
    pub(super) fn subscribed(&mut self) -> String {
        self.subscribe(1, "", "Expires: 600\r\n");
        let ok = self.sent.remove(0);
        assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
        self.answers(200);
        let to = ok.split("\r\n").find(|line| line.starts_with("To:")).unwrap();
        to.rsplit_once("tag=").unwrap().1.to_owned()
    }
}

#[test]
fn the_lamp_is_told_at_once_and_when_a_message_comes_and_goes() {
    let mut phone = Phone::new(device("c7001"));
    phone.subscribe(1, "", "Expires: 600\r\n");
    let ok = phone.sent.remove(0);
    assert!(ok.contains("\r\nExpires: 600\r\n"), "{ok}");
    let notify = phone.answers(200);
    assert!(notify.contains("Messages-Waiting: no\r\n"), "{notify}");
    assert!(notify.contains("Message-Account: sip:1001@clinic.example\r\n"), "{notify}");
    for (new, body) in [(1, "Messages-Waiting: yes"), (0, "Messages-Waiting: no")] {
        phone.advance(5);
        phone.counts = Counts { new, heard: 3, quiet: 7, deleted: 2 };
        phone.input(Input::MailboxChanged(mailbox_id("1001")));
        let notify = phone.answers(200);
        assert!(notify.contains(body), "{notify}");
        assert!(notify.contains(&format!("Voice-Message: {new}/3 (0/0)\r\n")), "{notify}");
    }
    phone.input(Input::MailboxChanged(mailbox_id("1002")));
    phone.advance(5);
    assert_eq!(phone.take_sent(), [""; 0]);
    let (version, lamps) = phone.signalling.lamps(mailbox_id("1001"));
    assert_eq!((version, lamps.len()), (2, 1));
    assert!(!lamps[0].report.pending);
}

#[test]
fn a_subscription_lasts_an_hour_at_most_and_a_minute_at_least() {
    for (asked, granted) in [("", 3600), ("Expires: 86400\r\n", 3600), ("Expires: 60\r\n", 60)] {
        let mut phone = Phone::new(device("c7001"));
        phone.subscribe(1, "", asked);
        assert!(
            phone.sent[0].contains(&format!("\r\nExpires: {granted}\r\n")),
            "{}",
            phone.sent[0]
        );
    }
    let mut phone = Phone::new(device("c7001"));
    phone.subscribe(1, "", "Expires: 59\r\n");
    let refused = phone.take_sent().remove(0);
    assert!(refused.starts_with("SIP/2.0 423 ") && refused.contains("\r\nMin-Expires: 60\r\n"));
}

#[test]
fn a_poll_is_answered_once_and_nothing_is_kept_of_it() {
    let mut phone = Phone::new(device("c7001"));
    phone.counts.new = 4;
    phone.subscribe(1, "", "Expires: 0\r\n");
    phone.sent.remove(0);
    let notify = phone.answers(200);
    assert!(notify.contains("\r\nSubscription-State: terminated;reason=timeout\r\n"), "{notify}");
    assert!(notify.contains("Voice-Message: 4/0 (0/0)"), "{notify}");
    assert_eq!((phone.kept.len(), phone.signalling.watching.len()), (0, 0));
    assert_eq!(phone.signalling.lamps(mailbox_id("1001")).1, []);
}

#[test]
fn a_subscription_goes_on_after_a_restart_once_its_telephone_is_there_again() {
    let mut phone = Phone::new(device("c7001"));
    let tag = phone.subscribed();
    let row = phone.kept.pop().expect("kept");

    let mut phone = Phone::new(Peer::Nobody);
    phone.counts.new = 2;
    phone.input(Input::Restore(vec![row.clone()]));
    assert_eq!(phone.take_sent(), [""; 0], "there is no way to it");
    assert!(phone.signalling.lamps(mailbox_id("1001")).1[0].report.pending);
    phone.connect(2, device("c7001"));
    phone.says("\r\n\r\n");
    phone.sent.retain(|sent| sent != "\r\n");
    let notify = phone.answers(200);
    assert!(notify.contains("Voice-Message: 2/0"), "{notify}");
    phone.advance(2);
    phone.subscribe(2, &tag, "Expires: 600\r\n");
    assert!(phone.sent.remove(0).starts_with("SIP/2.0 200 "));
    phone.answers(200);

    // One whose time is over, or whose telephone may watch no more, is forgotten.
    let mut late = Phone::new(Peer::Nobody);
    late.advance(601);
    late.input(Input::Restore(vec![row.clone()]));
    let mut forbidden = Phone::new(Peer::Nobody);
    forbidden.input(Input::Restore(vec![SubscriptionRow { mailbox: mailbox_id("1002"), ..row }]));
    for phone in [late, forbidden] {
        assert_eq!((phone.forgotten, phone.signalling.watching.len()), (1, 0));
    }
}

#[test]
fn a_refresh_from_elsewhere_shows_whose_it_is_or_is_nobodys() {
    let mut phone = Phone::new(device("c7001"));
    let tag = phone.subscribed();
    phone.connect(2, Peer::Nobody);
    phone.subscribe(2, &tag, "Expires: 600\r\n");
    let refused = phone.take_sent().remove(0);
    assert!(refused.starts_with("SIP/2.0 401 "), "it has a password: {refused}");
    phone.connect(3, Peer::Trunk(TRUNK));
    phone.subscribe(3, &tag, "Expires: 0\r\n");
    assert!(phone.take_sent().remove(0).starts_with("SIP/2.0 401 "));
    assert_eq!(phone.signalling.watching.len(), 1, "it goes on");

    let mut pbx = Phone::new(Peer::Trunk(TRUNK));
    let tag = pbx.subscribed();
    pbx.connect(2, device("c7001"));
    pbx.subscribe(2, &tag, "Expires: 0\r\n");
    assert!(pbx.take_sent().remove(0).starts_with("SIP/2.0 481 "));
    pbx.connect(3, Peer::Trunk(TRUNK));
    pbx.subscribe(3, &tag, "Expires: 600\r\n");
    assert!(pbx.take_sent().remove(0).starts_with("SIP/2.0 200 "), "another connection of its own");
}

#[test]
fn a_subscription_that_is_refused_is_counted_as_one_and_for_its_own_reason() {
    let mut phone = Phone::new(Peer::Nobody);
    phone.subscribe(1, "", "Expires: 600\r\n");
    assert_eq!(refused(&phone.outputs), [(Asked::Subscription, 401, Why::Challenged)]);
    let mut phone = Phone::new(device("c7001"));
    phone.subscribe(1, "", "Expires: 30\r\n");
    assert_eq!(refused(&phone.outputs), [(Asked::Subscription, 423, Why::NotUnderstood)]);

    let mut pbx = Phone::new(Peer::Trunk(TRUNK));
    let tag = pbx.subscribed();
    pbx.connect(2, device("c7001"));
    pbx.subscribe(2, &tag, "Expires: 0\r\n");
    assert_eq!(refused(&pbx.outputs), [(Asked::Subscription, 481, Why::NoSubscription)]);

    // The table is full.
    let mut phone = Phone::with_subscriptions(0, device("c7001"));
    phone.subscribe(1, "", "Expires: 600\r\n");
    assert_eq!(refused(&phone.outputs), [(Asked::Subscription, 503, Why::Full)]);
}

#[test]
fn who_may_watch_no_more_is_told_so() {
    let mut phone = Phone::new(device("c7001"));
    phone.subscribed();
    let before = directory();
    let without_grants = before.entities().filter(|e| !matches!(e, Entity::Grant(_)));
    let changed = Arc::new(Directory::of(without_grants.collect::<Vec<_>>()).unwrap());
    phone.input(Input::Directory(changed));
    let notify = phone.answers(200);
    assert!(notify.contains("\r\nSubscription-State: terminated;reason=rejected\r\n"), "{notify}");
    assert_eq!((phone.forgotten, phone.signalling.watching.len()), (1, 0));
}

#[test]
fn a_telephone_that_starts_again_has_one_subscription() {
    let mut phone = Phone::new(device("c7001"));
    phone.subscribed();
    phone.advance(5);
    let again = "SUBSCRIBE sip:1001@clinic.example SIP/2.0\r\nVia: SIP/2.0/TLS phone;branch=z9hG4bKnew\r\n\
        From: <sip:1001@clinic.example>;tag=q\r\nTo: <sip:1001@clinic.example>\r\nCall-ID: new\r\n\
        CSeq: 1 SUBSCRIBE\r\nContact: <sip:1001@phone>\r\nEvent: message-summary\r\nContent-Length: 0\r\n\r\n";
    phone.says(again);
    assert_eq!((phone.forgotten, phone.signalling.watching.len()), (1, 1));
}

#[test]
fn a_telephone_that_refuses_a_notify_has_no_subscription_any_more() {
    let mut phone = Phone::new(device("c7001"));
    phone.subscribed();
    phone.advance(5);
    phone.counts.new = 1;
    phone.input(Input::MailboxChanged(mailbox_id("1001")));
    phone.answers(481);
    assert_eq!((phone.forgotten, phone.signalling.watching.len()), (1, 0));
    phone.input(Input::MailboxChanged(mailbox_id("1001")));
    phone.advance(5);
    assert_eq!(phone.take_sent(), [""; 0]);
}
