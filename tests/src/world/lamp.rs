//! The lamp of a telephone: it subscribes over UDP on `lab`, by a link that may lose, double and delay what it sends and
//! gets. Written from RFC 6665 §4.1, RFC 3261 §17.1.2 and the examples of RFC 3842, not from the server's own types.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hushbox_sip::{Flow, Transport};

use super::caller::server_address;
use super::{Agenda, Happening};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// The port of the first lamp; callers have those below.
const FIRST_PORT: u16 = 31_000;

/// Which lamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LampId(pub usize);

impl LampId {
    /// The lamp at the other end of a flow.
    pub(super) fn at(flow: Flow) -> Option<Self> {
        let index = flow.remote.port().checked_sub(FIRST_PORT)?;
        (flow.transport == Transport::Udp).then_some(LampId(usize::from(index)))
    }
}

/// What a NOTIFY said, in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Messages not heard.
    pub new: u64,
    /// Messages heard.
    pub old: u64,
    /// Whether it was the subscription's last.
    pub is_last: bool,
}

/// One lamp.
pub struct Lamp {
    id: LampId,
    account: String,
    expires: u64,
    /// Whether it wants to be told.
    wants: bool,
    /// It has lost its power: it says nothing, and hears nothing.
    pub is_dark: bool,
    dialog: Option<Dialog>,
    asking: Option<Asking>,
    told: Vec<Told>,
    statuses: Vec<u16>,
    dialogs: u32,
}

/// A subscription as the subscriber knows it.
struct Dialog {
    call_id: String,
    to_tag: Option<String>,
    /// Whether a 200 has said the tag, not only a NOTIFY.
    is_confirmed: bool,
    /// Tags of a server that died before its 200 came: the one after it began a dialog of its own.
    earlier: Vec<String>,
    cseq: u32,
    /// The highest number of a NOTIFY so far.
    notified: u32,
    /// How each NOTIFY was answered, by its branch.
    answers: BTreeMap<String, u16>,
    refresh_at: Option<Instant>,
    over_at: Option<Instant>,
}

impl Dialog {
    /// Whether it is the dialog with this tag of the server: a NOTIFY may say it first (RFC 6665 §4.1.2.4).
    fn is(&mut self, tag: &str) -> bool {
        if self.to_tag.as_deref() == Some(tag) {
            return true;
        }
        if self.is_confirmed || self.earlier.iter().any(|earlier| earlier == tag) {
            return false;
        }
        self.earlier.extend(self.to_tag.replace(tag.to_owned()));
        self.notified = 0;
        true
    }
}

/// A SUBSCRIBE without a final answer.
struct Asking {
    text: String,
    cseq: u32,
    again_at: Instant,
    interval: Duration,
    until: Instant,
}

impl Lamp {
    /// A lamp for the messages of this address, whose subscriptions last so long.
    pub(super) fn new(id: LampId, account: &str, expires: Duration) -> Self {
        Self {
            id,
            account: account.to_owned(),
            expires: expires.as_secs(),
            wants: false,
            is_dark: false,
            dialog: None,
            asking: None,
            told: Vec::new(),
            statuses: Vec::new(),
            dialogs: 0,
        }
    }

    pub(super) fn flow(&self) -> Flow {
        let port = FIRST_PORT + u16::try_from(self.id.0).expect("few");
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let local = server_address(Transport::Udp);
        Flow { transport: Transport::Udp, local, remote, connection: None }
    }

    /// What it was told, in order.
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// How its SUBSCRIBEs were answered.
    pub fn statuses(&self) -> &[u16] {
        &self.statuses
    }

    /// Whether it wants to be told, and has a subscription.
    pub fn is_subscribed(&self) -> bool {
        self.wants && self.dialog.is_some()
    }

    /// Subscribes, as a telephone does that has just started.
    pub fn subscribe(&mut self, now: Instant, agenda: &mut Agenda) {
        self.wants = true;
        self.dialogs += 1;
        self.dialog = Some(Dialog {
            call_id: format!("lamp-{}-{}", self.id.0, self.dialogs),
            to_tag: None,
            is_confirmed: false,
            earlier: Vec::new(),
            cseq: 0,
            notified: 0,
            answers: BTreeMap::new(),
            refresh_at: None,
            over_at: None,
        });
        self.ask(now, agenda, self.expires);
    }

    /// Ends its subscription (RFC 6665 §4.1.2.3).
    pub fn end(&mut self, now: Instant, agenda: &mut Agenda) {
        self.wants = false;
        if self.dialog.is_some() {
            self.ask(now, agenda, 0);
        }
    }

    fn ask(&mut self, now: Instant, agenda: &mut Agenda, expires: u64) {
        let address = self.flow().remote;
        let (account, id) = (&self.account, self.id.0);
        let dialog = self.dialog.as_mut().expect("a subscription");
        dialog.cseq += 1;
        dialog.refresh_at = None;
        let Dialog { call_id, cseq, .. } = &*dialog;
        let tag = dialog.to_tag.as_ref().map_or(String::new(), |tag| format!(";tag={tag}"));
        let mut text = format!(
            "SUBSCRIBE {account} SIP/2.0\r\nVia: SIP/2.0/UDP {address};rport;branch=z9hG4bK-{call_id}-{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <{account}>;tag=l{call_id}\r\nTo: <{account}>{tag}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} SUBSCRIBE\r\nContact: <sip:lamp{id}@{address}>\r\n"
        );
        let _ = write!(
            text,
            "Event: message-summary\r\nAccept: application/simple-message-summary\r\n\
             Expires: {expires}\r\nContent-Length: 0\r\n\r\n"
        );
        let cseq = *cseq;
        let asking = Asking { text, cseq, again_at: now + T1, interval: T1, until: now + 64 * T1 };
        self.send(now, agenda, asking.text.clone());
        self.asking = Some(asking);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.is_dark {
            return None;
        }
        let asking = self.asking.as_ref().map(|asking| asking.again_at.min(asking.until));
        let dialog = self.dialog.as_ref();
        let next = dialog.map(|dialog| [dialog.refresh_at, dialog.over_at]);
        next.into_iter().flatten().flatten().chain(asking).min()
    }

    pub(super) fn timeout(&mut self, now: Instant, agenda: &mut Agenda) {
        if self.is_dark {
            return;
        }
        if let Some(asking) = &mut self.asking {
            if now >= asking.until {
                // RFC 6665 §4.1.2.2: nobody is there; a subscription of its own is tried next.
                self.asking = None;
                return self.lose(now, agenda);
            }
            if now >= asking.again_at {
                // RFC 3261 §17.1.2.2, timer E.
                asking.interval = (2 * asking.interval).min(T2);
                asking.again_at = now + asking.interval;
                let text = asking.text.clone();
                self.send(now, agenda, text);
            }
        }
        let Some(dialog) = &self.dialog else { return };
        if dialog.over_at.is_some_and(|at| now >= at) {
            self.lose(now, agenda);
        } else if dialog.refresh_at.is_some_and(|at| now >= at) {
            self.ask(now, agenda, self.expires);
        }
    }

    fn lose(&mut self, now: Instant, agenda: &mut Agenda) {
        self.dialog = None;
        self.asking = None;
        if self.wants {
            self.subscribe(now, agenda);
        }
    }

    /// Something arrives.
    pub(super) fn sip(&mut self, now: Instant, bytes: &[u8], agenda: &mut Agenda) {
        if self.is_dark {
            return;
        }
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("an end of the head");
        if head.starts_with("SIP/2.0 ") {
            return self.answered(now, head, agenda);
        }
        assert!(head.starts_with("NOTIFY "), "the only request that a lamp gets");
        let status = self.notified(head, body);
        let mut answer = format!("SIP/2.0 {status} X\r\n");
        for line in head.lines().skip(1) {
            let name = line.split(':').next().unwrap_or_default();
            if ["Via", "From", "To", "Call-ID", "CSeq"].contains(&name) {
                let _ = write!(answer, "{line}\r\n");
            }
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        self.send(now, agenda, answer);
        let is_over = status == 200 && field(head, "Subscription-State").starts_with("terminated");
        if is_over && self.dialog.as_ref().is_some_and(|d| d.call_id == field(head, "Call-ID")) {
            if field(head, "Subscription-State").contains("rejected") {
                self.wants = false;
            }
            self.lose(now, agenda);
        }
    }

    fn answered(&mut self, now: Instant, head: &str, agenda: &mut Agenda) {
        let status: u16 = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let Some(dialog) = &mut self.dialog else { return };
        let cseq = self.asking.as_ref().map(|asking| format!("{} SUBSCRIBE", asking.cseq));
        let is_ours = field(head, "Call-ID") == dialog.call_id;
        if !is_ours || cseq.as_deref() != Some(field(head, "CSeq")) || status < 200 {
            return;
        }
        self.asking = None;
        self.statuses.push(status);
        if status != 200 {
            return self.lose(now, agenda);
        }
        let tag = field(head, "To").rsplit_once("tag=").expect("a tag").1;
        assert!(dialog.is(tag), "the tag of an earlier 200");
        dialog.is_confirmed = true;
        let lasts: u64 = field(head, "Expires").parse().expect("seconds");
        if lasts > 0 {
            dialog.over_at = Some(now + Duration::from_secs(lasts));
            dialog.refresh_at = Some(now + Duration::from_secs(lasts / 2));
        }
    }

    /// How a NOTIFY is answered.
    fn notified(&mut self, head: &str, body: &str) -> u16 {
        // RFC 6665 §4.1.3: of a subscription that is not there.
        let Some(dialog) = self.dialog.as_mut().filter(|d| d.call_id == field(head, "Call-ID"))
        else {
            return 481;
        };
        let tag = field(head, "From").rsplit_once("tag=").expect("a tag").1;
        if !dialog.is(tag) {
            return 481;
        }
        let branch = field(head, "Via").to_owned();
        if let Some(status) = dialog.answers.get(&branch) {
            return *status;
        }
        let number = field(head, "CSeq").split(' ').next().and_then(|n| n.parse::<u32>().ok());
        let number = number.expect("a number");
        // RFC 3261 §12.2.2.
        let status = if number > dialog.notified { 200 } else { 500 };
        dialog.answers.insert(branch, status);
        if status == 200 {
            dialog.notified = number;
            let is_last = field(head, "Subscription-State").starts_with("terminated");
            if let Some(told) = read(body, &self.account, is_last) {
                self.told.push(told);
            }
        }
        status
    }

    fn send(&self, now: Instant, agenda: &mut Agenda, text: String) {
        let (id, bytes) = (self.id, Bytes::from(text));
        agenda.send_to_or_from_lamp(now, || Happening::LampToServer(id, bytes.clone()));
    }
}

/// A header field's value.
fn field<'a>(head: &'a str, name: &str) -> &'a str {
    let found = head.lines().skip(1).find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_default()
}

/// The body of a NOTIFY, as RFC 3842 §5.2 has it.
fn read(body: &str, account: &str, is_last: bool) -> Option<Told> {
    if body.is_empty() {
        return None;
    }
    let lines: Vec<&str> = body.lines().collect();
    let [waiting, whose, counts] = lines.as_slice() else { panic!("three lines") };
    assert_eq!(whose.strip_prefix("Message-Account: "), Some(account));
    let counts = counts.strip_prefix("Voice-Message: ").and_then(|c| c.split(' ').next());
    let (new, old) = counts.and_then(|counts| counts.split_once('/')).expect("counts");
    let told =
        Told { new: new.parse().expect("a number"), old: old.parse().expect("a number"), is_last };
    let lit = if told.new > 0 { "yes" } else { "no" };
    assert_eq!(waiting.strip_prefix("Messages-Waiting: "), Some(lit));
    Some(told)
}
