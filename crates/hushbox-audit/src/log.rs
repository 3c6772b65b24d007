//! The log as it grows: what is appended waits in a batch, and counts once the batch is synced.

use hushbox_policy::{NodeId, Now, Permit};
use std::time::Instant;

use crate::authorised::{Pending, Recorded};
use crate::event::{Event, EventExtra};
use crate::hash::{Hash, leaf_hash};
use crate::record::Record;

/// Where a log goes on: behind the last record that is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The place of the next record.
    pub next_seq: u64,
    /// The leaf hash of the last one; zeros if there is none.
    pub prev_hash: Hash,
}

/// A place in the log that a record was given. It says nothing about whether the record is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    node: NodeId,
    generation: u64,
    seq: u64,
}

impl Position {
    /// The index of the record's leaf.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }
}

/// The log of one node: the only way from a permit to its proof.
///
/// There is one writer. It takes a batch, writes and syncs it, says so, and only then takes the next.
#[derive(Debug)]
pub struct Log {
    node: NodeId,
    started: Instant,
    /// Goes up when a batch is taken back, so that what was in it is never confirmed by records that reuse its places.
    generation: u64,
    next: Resume,
    open: Open,
}

#[derive(Debug)]
struct Open {
    from: Resume,
    bytes: Vec<u8>,
}

impl Log {
    /// The log of a node, going on where the disk says. Whoever makes one decides what counts as written down: the
    /// lints of the workspace allow it in one module of the server.
    #[must_use]
    pub const fn new(node: NodeId, resume: Resume, now: Now) -> Self {
        Self {
            node,
            started: now.monotonic,
            generation: 0,
            next: resume,
            open: Open { from: resume, bytes: Vec::new() },
        }
    }

    /// Writes a permitted action down. The permit is used up.
    pub fn append<A: Recorded>(
        &mut self,
        now: Now,
        permit: Permit<A>,
        extra: EventExtra,
    ) -> Pending<A> {
        let (grounds, object) = permit.into_parts();
        let event = Event::permitted(A::EVENT, &grounds, extra);
        let position = self.append_record(now, event);
        Pending::new(grounds, object, position, now.utc)
    }

    /// Writes down what happened without anybody's permit.
    ///
    /// # Panics
    ///
    /// For an event that only a permit leads to: a record of an access names who was permitted it, or is not written.
    pub fn append_event(&mut self, now: Now, event: Event) -> Position {
        assert!(!event.name.needs_permit(), "{} is written with its permit", event.name);
        self.append_record(now, event)
    }

    fn append_record(&mut self, now: Now, event: Event) -> Position {
        let running = now.monotonic.saturating_duration_since(self.started);
        let record = Record {
            seq: self.next.next_seq,
            utc: now.utc,
            monotonic_ms: u64::try_from(running.as_millis()).unwrap_or(u64::MAX),
            node: self.node,
            prev: self.next.prev_hash,
            event,
        };
        let bytes = record.to_bytes();
        let leaf = leaf_hash(&bytes);
        let length = u32::try_from(bytes.len()).expect("a record is short");
        self.open.bytes.extend_from_slice(&length.to_be_bytes());
        self.open.bytes.extend_from_slice(&bytes);
        self.open.bytes.extend_from_slice(leaf.as_bytes());
        self.next = Resume { next_seq: record.seq + 1, prev_hash: leaf };
        Position { node: self.node, generation: self.generation, seq: record.seq }
    }

    /// Everything that was appended since the last batch, to be written and synced.
    pub fn take_batch(&mut self) -> Option<Batch> {
        if self.open.bytes.is_empty() {
            return None;
        }
        let open = std::mem::replace(&mut self.open, Open { from: self.next, bytes: Vec::new() });
        Some(Batch {
            node: self.node,
            generation: self.generation,
            from: open.from,
            upto: self.next.next_seq - 1,
            bytes: open.bytes,
        })
    }

    /// Takes back a batch that could not be written, and what was appended behind it: none of it will be confirmed,
    /// and the log goes on where the batch began. The file must be cut back to there too.
    pub fn rollback(&mut self, batch: Batch) {
        self.generation += 1;
        self.next = batch.from;
        self.open = Open { from: batch.from, bytes: Vec::new() };
    }

    /// Where the next record goes.
    #[must_use]
    pub const fn head(&self) -> Resume {
        self.next
    }

    /// Whose log it is.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }
}

/// Records that wait to be written together.
#[derive(Debug)]
#[must_use = "its records count once it is written and synced"]
pub struct Batch {
    node: NodeId,
    generation: u64,
    from: Resume,
    upto: u64,
    bytes: Vec<u8>,
}

impl Batch {
    /// What to append to the file: for each record its length, the record, its leaf hash.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where it begins: what the header of a new segment says.
    #[must_use]
    pub const fn from(&self) -> Resume {
        self.from
    }

    /// Says that these bytes are on disk. Whoever says so without it being so forges every proof: the lints of the
    /// workspace allow it in one module of the server.
    pub fn synced(self) -> Durable {
        Durable {
            node: self.node,
            generation: self.generation,
            from: self.from.next_seq,
            upto: self.upto,
        }
    }
}

/// These records are on disk.
#[derive(Debug)]
pub struct Durable {
    node: NodeId,
    generation: u64,
    from: u64,
    upto: u64,
}

impl Durable {
    /// Whether the record at this place is among them.
    #[must_use]
    pub fn covers(&self, position: Position) -> bool {
        self.node == position.node
            && self.generation == position.generation
            && (self.from..=self.upto).contains(&position.seq)
    }

    /// The last of them.
    #[must_use]
    pub const fn upto(&self) -> u64 {
        self.upto
    }
}
