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
    /// There is a last record, but the chunks are not all there or not the ones it hashed. Where the sync that covers
    /// them had not ended, nobody was told that the message is saved; otherwise it was damaged since. What is left is
    /// delivered as truncated, and somebody must hear of it.
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
    /// Messages of which something was written and nothing can be delivered: the first record, and with it the key, or
    /// every chunk is lost. After a crash it can be one whose first second was not synced yet; else it is damage.
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
            RecordKind::Last => {
                pieces.last = pieces.last.take().or(Last::parse(&record.body).ok());
            }
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
            let had_audio = !pieces.chunks.is_empty() || pieces.last.is_some();
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
        let mut message = SpooledMessage { first, chunks, samples, last: None, damaged: false };
        if let Some(last) = self.last {
            message.chunks.push(last.sealed_end.clone());
            if usize::try_from(last.chunk_count) == Ok(message.chunks.len())
                && Hash::of(&message.object()) == last.object_hash
            {
                message.last = Some(last);
            } else {
                message.chunks.pop();
                message.damaged = true;
            }
        }
        if message.chunks.is_empty() {
            return None;
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use hushbox_policy::{AccountId, MailboxId, Profile};
    use jiff::Timestamp;

    use super::*;
    use crate::deposit::{Deposit, DepositStart, EndKind, Ending};
    use crate::envelope::Envelope;
    use crate::hpke::generate_mailbox_keys;

    fn begin(message: u8) -> (Deposit, Record) {
        let start = DepositStart {
            message: MessageId::from_bytes([message; 16]),
            account: AccountId::from_bytes([1; 16]),
            mailbox: MailboxId::from_bytes([2; 16]),
            epoch: 1,
            profile: Profile::Hipaa,
            public_key: generate_mailbox_keys().unwrap().0,
            received_at: Timestamp::from_second(1_700_000_000).unwrap(),
            envelope: Envelope::default(),
            frame_format: 1,
            sample_rate: 8000,
        };
        Deposit::begin(&start, [message; 32]).unwrap()
    }

    fn whole(message: u8) -> Vec<Record> {
        let (mut deposit, first) = begin(message);
        let mut records = vec![first];
        for second in 1..=3 {
            records.extend(deposit.chunk(&[0x55; 500], second * 8000).unwrap());
        }
        let ending = Ending { samples: 24_500, end: EndKind::Hash, quiet: false };
        records.push(deposit.finish(ending).unwrap());
        records
    }

    fn recovered(records: &[Record]) -> Recovered {
        let mut recovery = Recovery::new();
        records.iter().for_each(|record| recovery.record(record));
        recovery.finish()
    }

    #[test]
    fn a_finished_message_comes_back_whole() {
        let recovered = recovered(&whole(1));
        let [message] = recovered.messages.as_slice() else { panic!("one message") };
        assert_eq!(message.chunks.len(), 4);
        assert_eq!(message.last.as_ref().map(|last| last.samples), Some(24_500));
        assert!(!message.damaged);
    }

    #[test]
    fn an_unfinished_message_comes_back_up_to_its_last_whole_chunk() {
        let records = whole(1);
        let recovered = recovered(&records[..3]);
        let [message] = recovered.messages.as_slice() else { panic!("one message") };
        assert_eq!(message.chunks.len(), 2);
        assert_eq!((message.samples, message.damaged), (16_000, false));
        assert_eq!(message.last, None);
    }

    #[test]
    fn chunks_behind_a_gap_do_not_come_back() {
        let mut records = whole(1);
        records.remove(2);
        let recovered = recovered(&records);
        let [message] = recovered.messages.as_slice() else { panic!("one message") };
        assert_eq!(message.chunks.len(), 1);
        assert_eq!(message.samples, 8_000);
        assert!(message.last.is_none() && message.damaged, "it was saved once: somebody must hear");
    }

    #[test]
    fn records_read_twice_or_out_of_order_change_nothing() {
        let records = whole(1);
        let mut again = [records.clone(), records.clone()].concat();
        again.reverse();
        assert_eq!(recovered(&again), recovered(&records));
    }

    #[test]
    fn the_messages_of_several_calls_are_kept_apart() {
        let (one, other) = (whole(1), whole(2));
        let mixed: Vec<Record> =
            one.iter().zip(&other).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
        let recovered = recovered(&mixed);
        assert_eq!(recovered.messages.len(), 2);
        assert!(recovered.messages.iter().all(|message| message.last.is_some()));
    }

    #[test]
    fn delivered_discarded_and_silent_messages_need_nothing_more() {
        let mut records = whole(1);
        records.push(Record::delivered(MessageId::from_bytes([1; 16])));
        let (deposit, first) = begin(2);
        records.extend([first, deposit.discard()]);
        records.push(begin(3).1);
        let recovered = recovered(&records);
        assert!(recovered.messages.is_empty() && recovered.orphaned.is_empty());
        assert_eq!(recovered.finished.len(), 3);
    }

    #[test]
    fn chunks_without_a_first_record_are_reported() {
        let recovered = recovered(&whole(1)[1..]);
        assert_eq!(recovered.orphaned, [MessageId::from_bytes([1; 16])]);
    }
}
