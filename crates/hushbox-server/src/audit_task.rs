//! The audit log's one writer: a thread that takes what waits, writes and syncs it together, and only then answers.
//!
//! The composition root of the proofs: the one [`Log`] of the node is made here, and "synced" is said here alone. If
//! the log cannot be written, nothing that waits is permitted. While only the reserve is left, access still goes on;
//! delivering messages to their mailboxes does not, and is tried again.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hushbox_audit::{
    AuditError, AuditReply, AuditRequest, Batch, Durable, Event, EventExtra, EventName, Log,
    PendingReply, Position, Resume,
};
use hushbox_backend::BackendError;
use hushbox_backend::audit_file::{AuditFile, AuditSpace};
use hushbox_policy::NodeId;
use tokio::sync::oneshot;

use crate::clock::Clock;
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
    /// Callers can't use up what is kept for those who log in and listen: their messages wait in the spool, and their
    /// calls go unrecorded until there is room.
    fn may_use_the_reserve(&self) -> bool {
        match self {
            Self::Access(AuditRequest::Event(event), ..) => !matches!(
                event.name,
                EventName::CallIn | EventName::RecordStart | EventName::RecordAbort
            ),
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
    ) -> std::io::Result<Self> {
        let (submissions, queue) = sync_channel(QUEUE_MAX);
        let log = Log::new(node, resume, clock.now());
        let head = Arc::new(Mutex::new(resume));
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&waiting);
        let writer = Writer { log, sink, clock, head: Arc::clone(&head), taken };
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&queue))?;
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
            if written.is_err() {
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
            let mut waiting = Vec::new();
            let more = std::iter::once(first).chain(submissions.try_iter()).take(BATCH_MAX);
            for submission in more {
                self.taken.fetch_sub(1, Ordering::Relaxed);
                if has_room || submission.may_use_the_reserve() {
                    waiting.push(self.append(submission));
                } else {
                    submission.refuse();
                }
            }
            self.write(waiting);
        }
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
    fn write(&mut self, waiting: Vec<Waiting>) {
        let Some(batch) = self.log.take_batch() else { return };
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
    use std::sync::mpsc;

    use hushbox_audit::Who;

    use super::*;

    /// A disk of which the test says what it does.
    struct Disk {
        fails: bool,
        room: bool,
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
            self.room
        }
    }

    fn start(fails: bool, room: bool) -> (Audit, Arc<Mutex<Vec<u8>>>) {
        let written = Arc::new(Mutex::new(Vec::new()));
        let disk = Disk { fails, room, written: Arc::clone(&written) };
        let node = NodeId::from_bytes([1; 16]);
        let clock = Arc::new(Clock::start(None));
        let audit = Audit::start(node, Resume::default(), Box::new(disk), clock);
        (audit.expect("started"), written)
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

    #[test]
    fn the_reserve_is_for_access_and_not_for_callers_or_deliveries() {
        let (audit, _) = start(false, false);
        assert!(note(&audit).is_ok());
        for name in [EventName::CallIn, EventName::RecordStart, EventName::RecordAbort] {
            assert!(submit(&audit, Event::new(name, Who::Stranger)).is_err(), "{name}");
        }
        assert!(submit(&audit, Event::new(EventName::AuthFail, Who::Stranger)).is_ok());
        assert_eq!(deliver(&audit), Err(AuditError::Unavailable));
    }
}
