//! The last calls' SIP messages, reduced ([`mod@line`]), for `hushbox trace`: kept in memory, gone with the process.
//!
//! Calls that were let in and requests that were refused stand on shelves of their own, so that a scanner pushes no
//! call out. Both are bounded, and so is what is kept of one call.

pub mod line;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hushbox_call::signalling::{Refused, Why};
use hushbox_policy::CallId;
use hushbox_sip::{CallIdHash, Flow, Message};
use serde_json::{Value, json};

use crate::limits;
use crate::metrics::TrunkName;
use line::{Line, Way, seconds};

/// The shelves, shared by signalling, the shards and commands.
#[derive(Debug, Default)]
pub struct Trace(Mutex<Shelves>);

#[derive(Debug, Default)]
struct Shelves {
    hasher: RandomState,
    next: u64,
    calls: BTreeMap<u64, Traced>,
    admitted: usize,
    /// By a keyed hash of the SIP Call-ID: the latest call that had it.
    by_sip: BTreeMap<u64, u64>,
    by_begin: BTreeMap<CallIdHash, u64>,
    by_call: BTreeMap<CallId, u64>,
}

#[derive(Debug)]
struct Traced {
    sip: u64,
    begin: CallIdHash,
    began: jiff::Timestamp,
    first_invite: Instant,
    answered: bool,
    trunk: Option<TrunkName>,
    call: Option<(CallId, &'static str)>,
    lines: Vec<Line>,
    left_out: usize,
    end: Option<(jiff::Timestamp, String)>,
}

impl Trace {
    /// A message came. `begins` is there for an INVITE outside of any dialog.
    pub fn received(
        &self,
        flow: Flow,
        message: &Message<'_>,
        begins: Option<CallIdHash>,
        trunk: Option<&TrunkName>,
    ) {
        let at = jiff::Timestamp::now();
        let mut shelves = self.lock();
        let sip = shelves.hasher.hash_one(message.call_id());
        let traced = match begins {
            Some(begin) => Some(shelves.begin(sip, begin, at, trunk)),
            None => shelves.latest(sip),
        };
        if let Some(traced) = traced {
            traced.push(Line::new(at, Way::In, flow, message));
        }
    }

    /// A message was sent. Answers how long a call took to its first 200, when this is it.
    pub fn sent(&self, flow: Flow, message: &Message<'_>) -> Option<Duration> {
        let at = jiff::Timestamp::now();
        let mut shelves = self.lock();
        let sip = shelves.hasher.hash_one(message.call_id());
        let traced = shelves.latest(sip)?;
        let line = Line::new(at, Way::Out, flow, message);
        let answers = line.status == Some(200) && line.method == "INVITE" && !traced.answered;
        traced.push(line);
        traced.answered |= answers;
        answers.then(|| traced.first_invite.elapsed())
    }

    /// A call was let in, from this trunk: one that shows itself by digest is not known before.
    pub fn admitted(
        &self,
        begin: CallIdHash,
        call: CallId,
        kind: &'static str,
        trunk: Option<TrunkName>,
    ) {
        let mut shelves = self.lock();
        let Some(serial) = shelves.by_begin.get(&begin).copied() else { return };
        let Some(traced) = shelves.calls.get_mut(&serial) else { return };
        let before = traced.call.replace((call, kind));
        traced.end = None;
        traced.trunk = trunk;
        if let Some((replaced, _)) = before {
            shelves.by_call.remove(&replaced);
        }
        shelves.by_call.insert(call, serial);
        if before.is_none() {
            shelves.admitted += 1;
            shelves.make_room();
        }
    }

    /// A request for a call from this trunk was refused.
    pub fn refused(&self, refused: &Refused, trunk: Option<TrunkName>) {
        let mut shelves = self.lock();
        let Some(serial) = shelves.by_begin.get(&refused.call_id_hash).copied() else { return };
        let Some(traced) = shelves.calls.get_mut(&serial) else { return };
        if traced.call.is_none() {
            traced.end = Some((jiff::Timestamp::now(), refusal(refused.why)));
            traced.trunk = trunk;
        }
    }

    /// A call has ended.
    pub fn ended(&self, call: CallId, end: &str) {
        let mut shelves = self.lock();
        let serial = shelves.by_call.get(&call).copied();
        if let Some(traced) = serial.and_then(|serial| shelves.calls.get_mut(&serial)) {
            traced.end = Some((jiff::Timestamp::now(), end.to_owned()));
        }
    }

    /// The messages of a call, named by its id in the log, or by what stands for its SIP Call-ID there.
    pub fn messages(&self, name: &str) -> Option<Vec<Value>> {
        self.lock().named(name).map(Traced::rows)
    }

    /// The call that is named so: by what stands for its SIP Call-ID too, where it was let in and is kept.
    pub fn call(&self, name: &str) -> Option<CallId> {
        let kept = || self.lock().named(name).and_then(|traced| Some(traced.call?.0));
        name.parse().ok().or_else(kept)
    }

    /// Every call that is kept, the latest last.
    pub fn list(&self) -> Vec<Value> {
        self.lock().calls.values().map(Traced::row).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the trace of a refused call ends.
pub fn refusal(why: Why) -> String {
    format!("refused: {}", why.as_str())
}

impl Shelves {
    fn named(&self, name: &str) -> Option<&Traced> {
        let by_call = || name.parse().ok().and_then(|call: CallId| self.by_call.get(&call));
        let by_sip = || {
            let hash = u64::from_str_radix(name, 16).ok().filter(|_| name.len() == 16)?;
            self.by_begin.get(&CallIdHash(hash))
        };
        self.calls.get(by_sip().or_else(by_call)?)
    }

    fn latest(&mut self, sip: u64) -> Option<&mut Traced> {
        let serial = self.by_sip.get(&sip)?;
        self.calls.get_mut(serial)
    }

    /// The call that an INVITE belongs to: a new one, unless it is a repetition or the same with credentials.
    fn begin(
        &mut self,
        sip: u64,
        begin: CallIdHash,
        at: jiff::Timestamp,
        trunk: Option<&TrunkName>,
    ) -> &mut Traced {
        let known = self.by_sip.get(&sip).copied();
        let goes_on = |traced: &Traced| traced.call.is_none() || traced.end.is_none();
        let serial = match known.filter(|serial| self.calls.get(serial).is_some_and(goes_on)) {
            Some(serial) => serial,
            None => {
                let serial = self.next;
                self.next += 1;
                self.by_sip.insert(sip, serial);
                self.by_begin.insert(begin, serial);
                self.make_room_for_one();
                serial
            }
        };
        self.calls.entry(serial).or_insert_with(|| Traced {
            sip,
            begin,
            began: at,
            first_invite: Instant::now(),
            answered: false,
            trunk: trunk.cloned(),
            call: None,
            lines: Vec::new(),
            left_out: 0,
            end: None,
        })
    }

    fn make_room(&mut self) {
        while self.admitted > limits::TRACED_CALLS {
            self.remove_oldest(true);
        }
    }

    fn make_room_for_one(&mut self) {
        while self.calls.len() - self.admitted >= limits::TRACED_REFUSED {
            self.remove_oldest(false);
        }
    }

    fn remove_oldest(&mut self, admitted: bool) {
        let oldest = self.calls.iter().find(|(_, traced)| traced.call.is_some() == admitted);
        let Some(serial) = oldest.map(|(serial, _)| *serial) else { return };
        let Some(traced) = self.calls.remove(&serial) else { return };
        if self.by_sip.get(&traced.sip) == Some(&serial) {
            self.by_sip.remove(&traced.sip);
        }
        if self.by_begin.get(&traced.begin) == Some(&serial) {
            self.by_begin.remove(&traced.begin);
        }
        if let Some((call, _)) = traced.call {
            self.by_call.remove(&call);
            self.admitted -= 1;
        }
    }
}

impl Traced {
    /// Keeps the first and the last messages: how it began, and how it ended.
    fn push(&mut self, line: Line) {
        if self.lines.len() == limits::TRACED_MESSAGES {
            self.lines.remove(limits::TRACED_MESSAGES / 2);
            self.left_out += 1;
        }
        self.lines.push(line);
    }

    fn row(&self) -> Value {
        json!({
            "began": self.began.to_string(),
            "call": self.call.map(|(call, _)| call.to_string()),
            "sip": self.begin.to_string(),
            "kind": self.call.map(|(_, kind)| kind),
            "trunk": self.trunk.as_deref(),
            "messages": self.lines.len() + self.left_out,
            "end": self.end.as_ref().map(|(_, end)| end),
        })
    }

    fn rows(&self) -> Vec<Value> {
        let mut rows: Vec<Value> = self.lines.iter().map(|line| line.row(self.began)).collect();
        if self.left_out > 0 {
            let text = format!("{} more left out here", self.left_out);
            let at = (limits::TRACED_MESSAGES / 2).min(rows.len());
            rows.insert(at, json!({ "way": "note", "message": text }));
        }
        if let Some((at, end)) = &self.end {
            let seconds = seconds(self.began, *at);
            rows.push(
                json!({ "time": at.to_string(), "seconds": seconds, "way": "end", "message": end }),
            );
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use hushbox_call::signalling::Asked;
    use hushbox_sip::Transport;

    use super::*;

    fn flow() -> Flow {
        let address = "192.0.2.1:5061".parse().expect("an address");
        Flow { transport: Transport::Tls, local: address, remote: address, connection: None }
    }

    fn text(start: &str, call_id: &str, method: &str) -> String {
        format!(
            "{start}\r\nVia: SIP/2.0/TLS pbx.example;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:1001@clinic.example>\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
    }

    fn came(trace: &Trace, call_id: &str, begin: u64) {
        let text = text("INVITE sip:1001@clinic.example SIP/2.0", call_id, "INVITE");
        let message = Message::parse(text.as_bytes()).expect("valid");
        trace.received(flow(), &message, Some(CallIdHash(begin)), None);
    }

    fn went(trace: &Trace, status: u16, call_id: &str) -> Option<Duration> {
        let text = text(&format!("SIP/2.0 {status} Fine"), call_id, "INVITE");
        let message = Message::parse(text.as_bytes()).expect("valid");
        trace.sent(flow(), &message)
    }

    fn refuse(trace: &Trace, begin: u64) {
        let why = Why::Challenged;
        let (asked, call_id_hash) = (Asked::Call, CallIdHash(begin));
        trace.refused(&Refused { asked, status: 401, why, call_id_hash, trunk: None }, None);
    }

    fn call(n: u64) -> CallId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        CallId::from_bytes(bytes)
    }

    fn messages(rows: &[Value]) -> Vec<&str> {
        rows.iter().filter_map(|row| row["message"].as_str()).collect()
    }

    #[test]
    fn a_challenged_call_that_comes_again_is_one_call_and_is_found_by_both_names() {
        let trace = Trace::default();
        came(&trace, "x", 7);
        went(&trace, 401, "x");
        refuse(&trace, 7);
        came(&trace, "x", 7);
        trace.admitted(CallIdHash(7), call(1), "deposit", Some("pbx".into()));
        assert!(went(&trace, 200, "x").is_some());
        assert!(went(&trace, 200, "x").is_none(), "the repetition measures nothing");
        trace.ended(call(1), "caller-hung-up");
        let rows = trace.messages(&call(1).to_string()).expect("kept");
        assert_eq!(
            messages(&rows),
            ["INVITE", "401 INVITE", "INVITE", "200 INVITE", "200 INVITE", "caller-hung-up"]
        );
        assert_eq!(trace.messages("0000000000000007").expect("kept"), rows);
        assert_eq!(trace.messages("7"), None);
        // Who looked at it by either name has looked at this call.
        assert_eq!(trace.call("0000000000000007"), Some(call(1)));
        assert_eq!(trace.call(&call(1).to_string()), Some(call(1)));
        assert_eq!(trace.call(&call(2).to_string()), Some(call(2)), "one that is kept no more");
        came(&trace, "y", 8);
        assert_eq!(trace.call("0000000000000008"), None, "it was not let in");
        assert_eq!(trace.messages("0000000000000008").expect("kept").len(), 1);
        assert_eq!(trace.list().len(), 2);
    }

    #[test]
    fn a_flood_of_refused_requests_pushes_no_call_out_and_is_bounded_itself() {
        let trace = Trace::default();
        came(&trace, "mine", 1);
        trace.admitted(CallIdHash(1), call(1), "deposit", None);
        for n in 2..2_000 {
            came(&trace, &format!("scan{n}"), n);
            refuse(&trace, n);
        }
        assert_eq!(trace.list().len(), limits::TRACED_REFUSED + 1);
        assert!(trace.messages(&call(1).to_string()).is_some());
        assert!(trace.messages(&format!("{:016x}", 2)).is_none(), "the oldest went first");
        let shelves = trace.lock();
        assert_eq!(shelves.by_sip.len(), shelves.calls.len());
        assert_eq!(shelves.by_begin.len(), shelves.calls.len());
    }

    #[test]
    fn the_oldest_call_goes_when_there_are_too_many() {
        let trace = Trace::default();
        let many = limits::TRACED_CALLS as u64 + 3;
        for n in 0..many {
            came(&trace, &format!("call{n}"), n);
            trace.admitted(CallIdHash(n), call(n), "deposit", None);
        }
        assert_eq!(trace.list().len(), limits::TRACED_CALLS);
        assert!(trace.messages(&call(2).to_string()).is_none());
        assert!(trace.messages(&call(3).to_string()).is_some());
    }

    #[test]
    fn a_call_of_many_messages_keeps_its_beginning_and_its_end() {
        let trace = Trace::default();
        came(&trace, "x", 1);
        for _ in 0..1_000 {
            went(&trace, 180, "x");
        }
        went(&trace, 486, "x");
        let rows = trace.messages(&format!("{:016x}", 1)).expect("kept");
        assert_eq!(rows.len(), limits::TRACED_MESSAGES + 1);
        assert_eq!(messages(&rows)[0], "INVITE");
        assert_eq!(*messages(&rows).last().expect("a row"), "486 INVITE");
        assert!(rows.iter().any(|row| row["way"] == "note"));
    }
}
