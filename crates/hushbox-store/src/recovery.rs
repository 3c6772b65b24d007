//! Putting messages together again from the spool's records: the same way while the server runs (a message was saved)
//! and after a crash (whatever was synced).

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use hushbox_audit::Hash;
use hushbox_policy::MessageId;

use crate::deposit::{First, Last, parse_chunk};
use crate::limits;
use crate::seal::chunk_head;
use crate::spool::{Record, RecordKind};

/// A message as the spool has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpooledMessage {
    /// Its first record.
    pub first: First,
    /// Its sealed chunks, in order and without a gap.
    pub chunks: Vec<Bytes>,
    /// How long the recording was with the last of these chunks, in samples.
    pub samples: u64,
    /// Its last record, if one was synced *and* the chunks are those that it counts and hashes.
    pub last: Option<Last>,
    /// There is a last record, but the chunks are not all there or not the ones it hashed: the message was saved once
    /// and was damaged since. What is left is delivered as truncated, and somebody must hear of it.
    pub damaged: bool,
}

impl SpooledMessage {
    /// The message's id.
    pub fn message(&self) -> MessageId {
        self.first.stream.message
    }

    /// The audio object: the stream's header and the chunks.
    pub fn object(&self) -> Bytes {
        let header = self.first.stream.to_bytes();
        let len = self.chunks.iter().map(|chunk| chunk.len() + 4).sum::<usize>() + header.len();
        let mut object = BytesMut::with_capacity(len);
        object.extend_from_slice(&header);
        for chunk in &self.chunks {
            object.extend_from_slice(&chunk_head(chunk));
            object.extend_from_slice(chunk);
        }
        object.freeze()
    }
}

/// Collects records, in the order of the segments' generations.
#[derive(Debug, Default)]
pub struct Recovery {
    messages: BTreeMap<MessageId, Pieces>,
}

/// What a spool held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Messages to deliver, oldest id first.
    pub messages: Vec<SpooledMessage>,
    /// Messages that need nothing more: delivered, discarded, or broken off before any sound was recorded.
    pub finished: Vec<MessageId>,
    /// Chunks without a readable first record: their key is lost, nothing can open them. Never the result of a crash
    /// alone, since the first record is synced before or with every chunk.
    pub orphaned: Vec<MessageId>,
}

#[derive(Debug, Default)]
struct Pieces {
    first: Option<First>,
    chunks: BTreeMap<u32, (u64, Bytes)>,
    last: Option<Last>,
    finished: bool,
}

impl Recovery {
    /// Nothing yet.
    pub fn new() -> Recovery {
        Recovery::default()
    }

    /// Takes a record. One that repeats another is ignored, so a spool may be read twice.
    pub fn record(&mut self, record: &Record) {
        let pieces = self.messages.entry(record.message).or_default();
        match record.kind {
            RecordKind::First => {
                let first = First::parse(&record.body)
                    .ok()
                    .filter(|first| first.stream.message == record.message);
                pieces.first = pieces.first.take().or(first);
            }
            RecordKind::Chunk => {
                if record.index < limits::CHUNKS_MAX
                    && let Some(chunk) = parse_chunk(&record.body)
                {
                    pieces.chunks.entry(record.index).or_insert(chunk);
                }
            }
            RecordKind::Last => pieces.last = pieces.last.or(Last::parse(&record.body).ok()),
            RecordKind::Delivered | RecordKind::Discarded => pieces.finished = true,
        }
    }

    /// What there is.
    pub fn finish(self) -> Recovered {
        let mut recovered = Recovered::default();
        for (id, pieces) in self.messages {
            if pieces.finished {
                recovered.finished.push(id);
                continue;
            }
            let had_audio = !pieces.chunks.is_empty();
            match pieces.assemble() {
                Some(message) => recovered.messages.push(message),
                None if had_audio => recovered.orphaned.push(id),
                None => recovered.finished.push(id),
            }
        }
        recovered
    }
}

impl Pieces {
    fn assemble(self) -> Option<SpooledMessage> {
        let first = self.first?;
        let mut chunks = Vec::with_capacity(self.chunks.len());
        let mut samples = 0;
        for (expected, (index, (samples_with, chunk))) in (0..).zip(self.chunks) {
            if index != expected {
                break;
            }
            chunks.push(chunk);
            samples = samples_with;
        }
        if chunks.is_empty() {
            return None;
        }
        let mut message = SpooledMessage { first, chunks, samples, last: None, damaged: false };
        if let Some(last) = self.last {
            let whole = usize::try_from(last.chunk_count) == Ok(message.chunks.len())
                && Hash::of(&message.object()) == last.object_hash;
            message.last = whole.then_some(last);
            message.damaged = !whole;
        }
        Some(message)
    }
}
