//! The audit log's one writer: a thread that takes what waits, writes and syncs it together, and only then answers.
//!
//! The composition root of the proofs: the one [`Log`] of the node is made here, and "synced" is said here alone. If
//! the log cannot be written, nothing that waits is permitted. While only the reserve is left, access still goes on;
//! delivering messages to their mailboxes does not, and is tried again. What strangers can cause is not written down
//! then, but counted, in one record once there is room.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hushbox_audit::{
    AuditError, AuditReply, AuditRequest, Batch, Durable, Event, EventExtra, EventName, Log,
    PendingReply, Position, Resume, Who,
};
use hushbox_backend::BackendError;
use hushbox_backend::audit_file::{AuditFile, AuditSpace};
use hushbox_policy::NodeId;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::fatal::Fatal;
use crate::metrics;

/// What may wait to be written.
const QUEUE_MAX: usize = 4096;
/// Records that are written together at most.
const BATCH_MAX: usize = 512;

/// Where batches are written.
pub trait Sink: Send {
    /// Appends the batch and syncs it. After an error nothing of it counts.
    fn append(&mut self, batch: &Batch) -> Result<(), BackendError>;
    /// Whether there is room beside the reserve.
    fn has_room(&mut self) -> bool;
}

impl Sink for AuditFile {
    fn append(&mut self, batch: &Batch) -> Result<(), BackendError> {
        AuditFile::append(self, batch)
    }

    fn has_room(&mut self) -> bool {
        self.space() == AuditSpace::Plenty
    }
}

/// Takes an answer, on the log's thread.
pub type Answer<T> = Box<dyn FnOnce(Result<T, AuditError>) + Send>;

enum Submission {
    /// A permit or an event of a call or a command.
    Access(AuditRequest, EventExtra, Answer<AuditReply>),
    /// The record of a delivered message: it never uses the reserve.
    Delivery(Event, Answer<u64>),
}

impl Submission {
    fn may_use_the_reserve(&self) -> bool {
        match self {
            Self::Access(AuditRequest::Event(event), ..) => !is_of_strangers(event.name),
            Self::Access(..) => true,
            Self::Delivery(..) => false,
        }
    }

    fn refuse(self) {
        match self {
            Self::Access(_, _, answer) => answer(Err(AuditError::Unavailable)),
            Self::Delivery(_, answer) => answer(Err(AuditError::Unavailable)),
        }
    }
}

/// Callers and whoever else sends packets can't use up what is kept for those who log in and listen: their messages
/// wait in the spool, and what they do goes unrecorded, but for its number, until there is room.
fn is_of_strangers(event: EventName) -> bool {
    matches!(
        event,
        EventName::CallIn
            | EventName::RecordStart
            | EventName::RecordAbort
            | EventName::TlsPeerReject
            | EventName::SrtpAuthFail
    )
}

/// The way to the log. The thread ends with the last of these.
#[derive(Clone)]
pub struct Audit {
    submissions: SyncSender<Submission>,
    head: Arc<Mutex<Resume>>,
    waiting: Arc<AtomicUsize>,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Audit")
    }
}

impl Audit {
    /// Starts the thread.
    #[expect(clippy::disallowed_methods, reason = "the one log of this node")]
    pub fn start(
        node: NodeId,
        resume: Resume,
        sink: Box<dyn Sink>,
        clock: Arc<Clock>,
        fatal: &Fatal,
    ) -> std::io::Result<Self> {
        let (submissions, queue) = sync_channel(QUEUE_MAX);
        let log = Log::new(node, resume, clock.now());
        let head = Arc::new(Mutex::new(resume));
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&waiting);
        let writer = Writer { log, sink, clock, head: Arc::clone(&head), taken, unwritten: 0 };
        fatal.thread("audit", "the audit log", move || writer.run(&queue))?;
        Ok(Self { submissions, head, waiting })
    }

    /// Writes down a permit or an event; `answer` comes once it is durable.
    pub fn submit(&self, request: AuditRequest, extra: EventExtra, answer: Answer<AuditReply>) {
        self.send(Submission::Access(request, extra, answer));
    }

    /// The same, awaited.
    pub async fn write(
        &self,
        request: AuditRequest,
        extra: EventExtra,
    ) -> Result<AuditReply, AuditError> {
        let (sender, answer) = oneshot::channel();
        // Whoever asked may have gone: then nobody is left to be told.
        self.submit(
            request,
            extra,
            Box::new(move |reply| {
                let _gone = sender.send(reply);
            }),
        );
        answer.await.unwrap_or(Err(AuditError::Unavailable))
    }

    /// Writes down an event that waits for nobody.
    pub fn note(&self, event: Event) {
        let name = event.name;
        let answer: Answer<AuditReply> = Box::new(move |written| {
            if written.is_err() && !is_of_strangers(name) {
                tracing::warn!(event = %name, "an event could not be written to the audit log");
            }
        });
        self.submit(event.into(), EventExtra::default(), answer);
    }

    /// Writes down that a message was delivered; answers its sequence number.
    pub async fn delivered(&self, event: Event) -> Result<u64, AuditError> {
        let (sender, answer) = oneshot::channel();
        self.send(Submission::Delivery(
            event,
            Box::new(move |reply| {
                let _gone = sender.send(reply);
            }),
        ));
        answer.await.unwrap_or(Err(AuditError::Unavailable))
    }

    /// The end of what is durable.
    pub fn head(&self) -> Resume {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that wait to be written.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn send(&self, submission: Submission) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        match self.submissions.try_send(submission) {
            Ok(()) => {}
            Err(TrySendError::Full(submission) | TrySendError::Disconnected(submission)) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                submission.refuse()
            }
        }
    }
}

struct Writer {
    log: Log,
    sink: Box<dyn Sink>,
    clock: Arc<Clock>,
    head: Arc<Mutex<Resume>>,
    /// What the senders counted and is taken here.
    taken: Arc<AtomicUsize>,
    /// Events for which there was no room. The log says how many once there is.
    unwritten: u64,
}

/// What waits for the batch's sync.
enum Waiting {
    Access(PendingReply, Answer<AuditReply>),
    Delivery(Position, Answer<u64>),
}

impl Writer {
    fn run(mut self, submissions: &Receiver<Submission>) {
        while let Ok(first) = submissions.recv() {
            let has_room = self.sink.has_room();
            let counted = if has_room { self.append_unwritten() } else { 0 };
            let mut waiting = Vec::new();
            let more = std::iter::once(first).chain(submissions.try_iter()).take(BATCH_MAX);
            for submission in more {
                self.taken.fetch_sub(1, Ordering::Relaxed);
                if has_room || submission.may_use_the_reserve() {
                    waiting.push(self.append(submission));
                } else {
                    // A delivery is tried again.
                    self.unwritten += u64::from(matches!(submission, Submission::Access(..)));
                    submission.refuse();
                }
            }
            if self.write(waiting) {
                self.unwritten -= counted;
            }
        }
    }

    /// Says how many events the log lacks; answers how many it said.
    fn append_unwritten(&mut self) -> u64 {
        if self.unwritten > 0 {
            let mut event = Event::new(EventName::AuditGap, Who::System);
            event.detail = event.detail.with("events", self.unwritten);
            self.log.append_event(self.clock.now(), event);
        }
        self.unwritten
    }

    fn append(&mut self, submission: Submission) -> Waiting {
        let now = self.clock.now();
        match submission {
            Submission::Access(request, extra, answer) => {
                Waiting::Access(self.log.submit(now, request, extra), answer)
            }
            Submission::Delivery(event, answer) => {
                Waiting::Delivery(self.log.append_event(now, event), answer)
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the batch was synced just above")]
    fn write(&mut self, waiting: Vec<Waiting>) -> bool {
        let Some(batch) = self.log.take_batch() else { return true };
        let began = Instant::now();
        let appended = self.sink.append(&batch);
        metrics::audit_written(began.elapsed(), appended.is_ok());
        match appended {
            Ok(()) => {
                let durable = batch.synced();
                *self.head.lock().unwrap_or_else(PoisonError::into_inner) = self.log.head();
                for one in waiting {
                    confirm(one, &durable);
                }
                true
            }
            Err(error) => {
                tracing::error!(%error, "the audit log cannot be written: nothing is opened until it can");
                self.log.rollback(batch);
                for one in waiting {
                    match one {
                        Waiting::Access(_, answer) => answer(Err(AuditError::Unavailable)),
                        Waiting::Delivery(_, answer) => answer(Err(AuditError::Unavailable)),
                    }
                }
                false
            }
        }
    }
}

fn confirm(waiting: Waiting, durable: &Durable) {
    match waiting {
        Waiting::Access(pending, answer) => {
            answer(pending.confirmed(durable).map_err(|_| AuditError::Unavailable));
        }
        Waiting::Delivery(position, answer) => answer(Ok(position.seq())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;

    use hushbox_audit::Record;

    use super::*;

    /// A disk of which the test says what it does.
    struct Disk {
        fails: bool,
        room: Arc<AtomicBool>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Sink for Disk {
        fn append(&mut self, batch: &Batch) -> Result<(), BackendError> {
            if self.fails {
                return Err(BackendError::Full { path: "audit".into() });
            }
            self.written.lock().expect("a lock").extend_from_slice(batch.bytes());
            Ok(())
        }

        fn has_room(&mut self) -> bool {
            self.room.load(Ordering::Relaxed)
        }
    }

    fn start(fails: bool, room: bool) -> (Audit, Arc<Mutex<Vec<u8>>>) {
        let (audit, written, _) = start_with(fails, room);
        (audit, written)
    }

    fn start_with(fails: bool, room: bool) -> (Audit, Arc<Mutex<Vec<u8>>>, Arc<AtomicBool>) {
        let written = Arc::new(Mutex::new(Vec::new()));
        let room = Arc::new(AtomicBool::new(room));
        let disk = Disk { fails, room: Arc::clone(&room), written: Arc::clone(&written) };
        let node = NodeId::from_bytes([1; 16]);
        let clock = Arc::new(Clock::start(None));
        let audit = Audit::start(node, Resume::default(), Box::new(disk), clock, &Fatal::unheard());
        (audit.expect("started"), written, room)
    }

    fn event() -> Event {
        Event::new(EventName::ServiceStart, Who::System)
    }

    fn note(audit: &Audit) -> Result<AuditReply, AuditError> {
        submit(audit, event())
    }

    fn submit(audit: &Audit, event: Event) -> Result<AuditReply, AuditError> {
        let (answers, heard) = mpsc::channel();
        audit.submit(
            event.into(),
            EventExtra::default(),
            Box::new(move |reply| answers.send(reply).expect("heard")),
        );
        heard.recv().expect("an answer")
    }

    fn deliver(audit: &Audit) -> Result<u64, AuditError> {
        let (answers, heard) = mpsc::channel();
        audit.send(Submission::Delivery(
            event(),
            Box::new(move |reply| answers.send(reply).expect("heard")),
        ));
        heard.recv().expect("an answer")
    }

    #[test]
    fn an_answer_comes_after_the_record_is_on_the_disk() {
        let (audit, written) = start(false, true);
        assert!(note(&audit).is_ok());
        assert!(!written.lock().expect("a lock").is_empty());
        assert_eq!(deliver(&audit), Ok(1));
    }

    #[test]
    fn a_log_that_cannot_be_written_permits_nothing() {
        let (audit, written) = start(true, true);
        assert!(matches!(note(&audit), Err(AuditError::Unavailable)));
        assert_eq!(deliver(&audit), Err(AuditError::Unavailable));
        assert!(written.lock().expect("a lock").is_empty());
    }

    /// The records in what was written: a length, the record, its leaf hash.
    fn records(mut written: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        while let Some((length, rest)) = written.split_first_chunk() {
            let (record, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            records.push(Record::from_bytes(record).expect("a record"));
            written = &rest[32..];
        }
        records
    }

    const OF_STRANGERS: [EventName; 5] = [
        EventName::CallIn,
        EventName::RecordStart,
        EventName::RecordAbort,
        EventName::TlsPeerReject,
        EventName::SrtpAuthFail,
    ];

    #[test]
    fn what_strangers_did_while_there_was_no_room_is_counted_once_in_the_first_record_after() {
        let (audit, written, room) = start_with(false, false);
        for name in OF_STRANGERS {
            assert!(submit(&audit, Event::new(name, Who::Stranger)).is_err());
        }
        assert_eq!(deliver(&audit), Err(AuditError::Unavailable), "tried again: not counted");
        assert!(written.lock().expect("a lock").is_empty());
        room.store(true, Ordering::Relaxed);
        assert!(note(&audit).is_ok());
        assert!(note(&audit).is_ok());
        // The first of the two may still have been taken together with what was refused.
        let records = records(&written.lock().expect("a lock"));
        let gaps: Vec<_> =
            records.iter().filter(|record| record.event.name == EventName::AuditGap).collect();
        let [gap] = gaps[..] else { panic!("counted once, and not {} times", gaps.len()) };
        let expected = hushbox_audit::Detail::default().with("events", 5_u64);
        assert_eq!(gap.event.detail, expected);
    }

    #[test]
    fn a_log_that_fails_inside_ends_the_server() {
        let (fatal, mut failed) = Fatal::new();
        let disk =
            Disk { fails: false, room: Arc::new(AtomicBool::new(true)), written: Arc::default() };
        let (node, clock) = (NodeId::from_bytes([1; 16]), Arc::new(Clock::start(None)));
        let audit = Audit::start(node, Resume::default(), Box::new(disk), clock, &fatal);
        let panics: Answer<AuditReply> = Box::new(|_| panic!("on purpose"));
        audit.expect("started").submit(event().into(), EventExtra::default(), panics);
        assert_eq!(failed.blocking_recv(), Some("the audit log"));
    }

    #[test]
    fn the_reserve_is_for_access_and_not_for_callers_or_deliveries() {
        let (audit, _) = start(false, false);
        assert!(note(&audit).is_ok());
        for name in OF_STRANGERS {
            assert!(submit(&audit, Event::new(name, Who::Stranger)).is_err(), "{name}");
        }
        assert!(submit(&audit, Event::new(EventName::AuthFail, Who::Stranger)).is_ok());
        assert_eq!(deliver(&audit), Err(AuditError::Unavailable));
    }
}
