//! Delivering a saved message: object, audit record, row, then the spool's place is freed. The steps are values; the
//! shell does each and says so, and repeats one that failed for as long as it takes.
//!
//! Every step may be done twice, and a crash between any two only means that recovery begins again: the same object,
//! the same manifest and the same row come out of the same spool. The one thing that must happen once, the audit
//! record, is looked up before a recovered message is delivered. A row becomes visible only after its record.

use bytes::Bytes;
use hushbox_audit::{Detail, DetailValue, Event, EventName, Hash, Outcome, Record, Who};
use hushbox_policy::{MessageId, NodeId};

use crate::deposit::{EndKind, First};
use crate::error::KeyError;
use crate::manifest::{Manifest, SignedManifest};
use crate::message::{MessageRow, MessageState};
use crate::objects::ObjectKey;
use crate::recovery::SpooledMessage;
use crate::signing::NodeKey;

/// What the audit log has about a message: found by its id, before a recovered message is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audited {
    /// The sequence number of its record.
    pub seq: u64,
    /// The manifest's hash in that record.
    pub manifest: Hash,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Store the object, synced.
    PutObject {
        /// Where.
        key: ObjectKey,
        /// What.
        bytes: Bytes,
    },
    /// Write the audit record and wait until it is durable.
    Audit(Box<Event>),
    /// Insert the row, durable: the message appears in its mailbox.
    InsertRow(Box<MessageRow>),
    /// Append [`crate::spool::Record::delivered`].
    FreeSpool(MessageId),
    /// The audit log knows this message as another one than the spool has: something has gone back in time or was
    /// changed. Nothing was stored; the spool keeps it, and an operator must look.
    Quarantined {
        /// The message.
        message: MessageId,
        /// What the audit log has.
        audited: Hash,
        /// What the spool would give.
        spooled: Hash,
    },
    /// Delivered.
    Done,
}

/// Says that a step was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepDone {
    /// The object is stored and synced.
    ObjectPut,
    /// The record is durable, under this sequence number.
    Audited {
        /// The sequence number.
        seq: u64,
    },
    /// The row is in the index.
    RowInserted,
    /// The spool has forgotten the message.
    SpoolFreed,
}

/// One message on its way from the spool to its mailbox.
#[derive(Debug)]
pub struct Delivery {
    manifest: Manifest,
    signed: SignedManifest,
    first: First,
    object: Bytes,
    damaged: bool,
    audited: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Object,
    Audit,
    Row { seq: u64 },
    Free,
    Quarantine { audited: Hash },
    Quarantined { audited: Hash },
    Done,
}

impl Delivery {
    /// Begins to deliver a message: it is signed by this node.
    ///
    /// `audited` is what the audit log has under the message's id: nothing for a message that was saved in this run.
    pub fn new(
        message: SpooledMessage,
        node: NodeId,
        key: &NodeKey,
        audited: Option<Audited>,
    ) -> Result<Delivery, KeyError> {
        let object = message.object();
        let manifest = manifest_of(&message, &object, node);
        let signed = manifest.sign(key)?;
        let state = match audited {
            Some(audited) if audited.manifest != signed.hash() => {
                State::Quarantine { audited: audited.manifest }
            }
            _ => State::Object,
        };
        let audited = audited.map(|audited| audited.seq);
        let SpooledMessage { first, damaged, .. } = message;
        Ok(Delivery { manifest, signed, first, object, damaged, audited, state })
    }

    /// The message that is being delivered.
    pub fn message(&self) -> MessageId {
        self.manifest.message
    }

    /// What is signed about it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What is to be done next; the same until it is said to be done.
    pub fn poll_step(&self) -> Step {
        match self.state {
            State::Object => Step::PutObject {
                key: ObjectKey::of_message(self.message()),
                bytes: self.object.clone(),
            },
            State::Audit => Step::Audit(Box::new(finished(&self.manifest, self.damaged))),
            State::Quarantine { audited } => {
                Step::Audit(Box::new(quarantined(&self.manifest, audited)))
            }

            State::Row { seq } => Step::InsertRow(Box::new(self.row(seq))),
            State::Free => Step::FreeSpool(self.message()),
            State::Quarantined { audited } => {
                Step::Quarantined { message: self.message(), audited, spooled: self.signed.hash() }
            }
            State::Done => Step::Done,
        }
    }

    /// Takes the news that the step was done. News about any other step change nothing.
    pub fn handle(&mut self, done: StepDone) {
        self.state = match (self.state, done) {
            (State::Object, StepDone::ObjectPut) => match self.audited {
                Some(seq) => State::Row { seq },
                None => State::Audit,
            },
            (State::Quarantine { audited }, StepDone::Audited { .. }) => {
                State::Quarantined { audited }
            }
            (State::Audit, StepDone::Audited { seq }) => State::Row { seq },
            (State::Row { .. }, StepDone::RowInserted) => State::Free,
            (State::Free, StepDone::SpoolFreed) => State::Done,
            (state, _) => state,
        };
    }

    fn row(&self, audit_seq: u64) -> MessageRow {
        let manifest = &self.manifest;
        let state = if manifest.quiet { MessageState::Quiet } else { MessageState::New };
        MessageRow {
            id: manifest.message,
            account: manifest.account,
            mailbox: manifest.mailbox,
            epoch: self.first.epoch,
            profile: manifest.profile,
            state,
            previous_state: None,
            received_at: manifest.received_at,
            samples: manifest.samples,
            sample_rate: manifest.sample_rate,
            truncated: manifest.truncated,
            sealed_key: self.first.sealed_key.clone(),
            sealed_envelope: self.first.sealed_envelope.clone(),
            manifest: self.signed.clone(),
            audit_seq,
            object_key: ObjectKey::of_message(manifest.message),
            remaining: state.kept_for(),
        }
    }
}

/// The manifest follows from the spool's records alone, so that a recovery makes the same one.
fn manifest_of(message: &SpooledMessage, object: &[u8], node: NodeId) -> Manifest {
    let first = &message.first;
    let stream = &first.stream;
    let (end, quiet, samples) = match &message.last {
        Some(last) => (last.end, last.quiet, last.samples),
        // Whether anybody was heard is not known of a message that was cut: it counts as one with a voice.
        None => (EndKind::Truncated, false, message.samples),
    };
    Manifest {
        node,
        account: stream.account,
        mailbox: stream.mailbox,
        message: stream.message,
        profile: stream.profile,
        end,
        truncated: message.last.is_none(),
        quiet,
        frame_format: stream.frame_format,
        received_at: first.received_at,
        samples,
        sample_rate: first.sample_rate,
        chunk_count: u32::try_from(message.chunks.len()).unwrap_or(u32::MAX),
        object_len: u64::try_from(object.len()).unwrap_or(u64::MAX),
        object_hash: Hash::of(object),
        envelope_hash: Hash::of(&first.sealed_envelope),
    }
}

/// The names of the details of a message's record.
const MANIFEST: &str = "manifest";

impl Audited {
    /// What a record says about a delivered message, if it is the record of one: how the shell finds, in the log, what
    /// [`Delivery::new`] and [`crate::OpenMailbox::open`] want to know.
    pub fn in_record(record: &Record) -> Option<(MessageId, Audited)> {
        let event = &record.event;
        match (event.name, event.message, event.detail.value(MANIFEST)) {
            (EventName::RecordFinish, Some(message), Some(DetailValue::Hash(manifest))) => {
                Some((message, Audited { seq: record.seq, manifest: *manifest }))
            }
            _ => None,
        }
    }
}

fn event(name: EventName, manifest: &Manifest) -> Event {
    let mut event = Event::new(name, Who::System);
    event.account = Some(manifest.account);
    event.mailbox = Some(manifest.mailbox);
    event.message = Some(manifest.message);
    event.detail = Detail::new().with(MANIFEST, manifest.hash());
    event
}

/// The one record of a message: made from its last record, or from what recovery found.
fn finished(manifest: &Manifest, damaged: bool) -> Event {
    let mut event = event(EventName::RecordFinish, manifest);
    event.detail = event
        .detail
        .with("profile", manifest.profile.as_str())
        .with("end", manifest.end.name())
        .with("samples", manifest.samples)
        .with("sample_rate", manifest.sample_rate)
        .with("chunks", manifest.chunk_count)
        .with("truncated", manifest.truncated)
        .with("quiet", manifest.quiet)
        .with("damaged", damaged);
    event
}

fn quarantined(manifest: &Manifest, audited: Hash) -> Event {
    let mut event = event(EventName::MsgQuarantine, manifest);
    event.outcome = Outcome::Failed;
    event.detail = event.detail.with("audited", audited);
    event
}
