//! Recording a message: frames in, spool records out, sealed before they are anywhere else.
//!
//! A deposit holds the mailbox's public key and the fresh key of its own message, which is in the cipher and can't be
//! taken out. Nothing that it has or can reach opens another message, nor this one once it has ended.
//!
//! A deposit begins with a public key; one that opens does not fit:
//!
//! ```compile_fail,E0308
//! use hushbox_store::{DepositStart, keys::MailboxPrivateKey};
//! fn begin(mut start: DepositStart, opens: MailboxPrivateKey) {
//!     start.public_key = opens;
//! }
//! ```

mod records;

use std::fmt;

use aws_lc_rs::digest;
use bytes::Bytes;
use hushbox_policy::{AccountId, MailboxId, MessageId, Profile};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::envelope::Envelope;
use crate::error::SealError;
use crate::hpke::{self, Place};
use crate::keys::{MailboxPublicKey, MessageKey};
use crate::limits;
use crate::seal::{Sealer, chunk_head};
use crate::spool::{Record, RecordKind};
use crate::wire::hash_of_digest;
pub(crate) use records::parse_chunk;
pub use records::{First, Last};

/// How a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndKind {
    /// BYE, or the caller's connection went away.
    CallerHungUp,
    /// The caller pressed `#`.
    Hash,
    /// The longest recording was reached.
    MaxLength,
    /// Ten seconds without a voice or without packets.
    Silence,
    /// The caller held the call for too long.
    Hold,
    /// The server was told to stop.
    Shutdown,
    /// The server stopped without being able to end it: what was synced was found at the next start.
    Truncated,
}

impl EndKind {
    pub(crate) fn code(self) -> u8 {
        match self {
            EndKind::CallerHungUp => 1,
            EndKind::Hash => 2,
            EndKind::MaxLength => 3,
            EndKind::Silence => 4,
            EndKind::Hold => 5,
            EndKind::Shutdown => 6,
            EndKind::Truncated => 7,
        }
    }

    pub(crate) fn of(code: u8) -> Option<EndKind> {
        match code {
            1 => Some(EndKind::CallerHungUp),
            2 => Some(EndKind::Hash),
            3 => Some(EndKind::MaxLength),
            4 => Some(EndKind::Silence),
            5 => Some(EndKind::Hold),
            6 => Some(EndKind::Shutdown),
            7 => Some(EndKind::Truncated),
            _ => None,
        }
    }

    /// The name in logs and records.
    pub fn name(self) -> &'static str {
        match self {
            EndKind::CallerHungUp => "caller-hung-up",
            EndKind::Hash => "hash",
            EndKind::MaxLength => "max-length",
            EndKind::Silence => "silence",
            EndKind::Hold => "hold",
            EndKind::Shutdown => "shutdown",
            EndKind::Truncated => "truncated",
        }
    }
}

/// What a deposit begins with.
#[derive(Clone, Debug)]
pub struct DepositStart {
    /// The new message's id.
    pub message: MessageId,
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The epoch of the mailbox's key.
    pub epoch: u32,
    /// The profile of the account now.
    pub profile: Profile,
    /// The mailbox's public key of that epoch.
    pub public_key: MailboxPublicKey,
    /// When the recording begins.
    pub received_at: Timestamp,
    /// Who called.
    pub envelope: Envelope,
    /// Media's format of the frames.
    pub frame_format: u16,
    /// Samples a second.
    pub sample_rate: u32,
}

/// How a deposit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The recording's length in samples.
    pub samples: u64,
    /// Why it ended.
    pub end: EndKind,
    /// Nobody was heard (design.md "Defaults", no voice).
    pub quiet: bool,
}

/// A recording under way.
pub struct Deposit {
    sealer: Sealer,
    hash: digest::Context,
    object_len: u64,
    sample_rate: u32,
}

impl Deposit {
    /// Begins a message: its key is sealed to the mailbox and forgotten, the envelope is sealed.
    ///
    /// `message_key` is 32 fresh random bytes, which are wiped here; the caller wipes its copy.
    pub fn begin(
        start: &DepositStart,
        message_key: [u8; 32],
    ) -> Result<(Deposit, Record), SealError> {
        let message_key = Zeroizing::new(message_key);
        let key = MessageKey::from_bytes(&message_key);
        let place = Place {
            account: start.account,
            mailbox: start.mailbox,
            message: start.message,
            epoch: start.epoch,
            profile: start.profile,
        };
        let sealer = Sealer::new(
            &key,
            start.profile,
            start.frame_format,
            start.account,
            start.mailbox,
            start.message,
        )?;
        let first = First {
            stream: *sealer.header(),
            epoch: start.epoch,
            received_at: start.received_at,
            sample_rate: start.sample_rate,
            sealed_key: hpke::seal_message_key(&start.public_key, &place, &key)?,
            sealed_envelope: start.envelope.seal(&start.public_key, &place)?,
        };
        let header = sealer.header().to_bytes();
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&header);
        let object_len = u64::try_from(header.len()).unwrap_or(u64::MAX);
        Ok((
            Deposit { sealer, hash, object_len, sample_rate: start.sample_rate },
            first.to_record(),
        ))
    }

    /// The message that is being recorded.
    pub fn message(&self) -> MessageId {
        self.sealer.header().message
    }

    /// Seals frames as they came; `samples` is the recording's length with them. More than one record only where the
    /// frames are longer than a chunk may be; none for no frames.
    pub fn chunk(&mut self, frames: &[u8], samples: u64) -> Result<Vec<Record>, SealError> {
        frames.chunks(limits::CHUNK_BYTES_MAX).map(|piece| self.record(piece, samples)).collect()
    }

    /// Ends the message: once this record is synced it is saved. The last chunk, empty and sealed as the last, stands
    /// in the same record, so a crash leaves both or neither.
    pub fn finish(mut self, ending: Ending) -> Result<Record, SealError> {
        let sealed_end = Bytes::from(self.seal(&[], true)?);
        let last = Last {
            end: ending.end,
            quiet: ending.quiet,
            chunk_count: self.sealer.count(),
            samples: ending.samples,
            sample_rate: self.sample_rate,
            object_len: self.object_len,
            object_hash: hash_of_digest(&self.hash.finish()),
            sealed_end,
        };
        let message = self.sealer.header().message;
        let body = Bytes::from(last.to_bytes());
        Ok(Record { kind: RecordKind::Last, message, index: 0, body })
    }

    /// Ends a message that nobody will miss: no packet came, or all was digital silence.
    pub fn discard(self) -> Record {
        let message = self.sealer.header().message;
        Record { kind: RecordKind::Discarded, message, index: 0, body: Bytes::new() }
    }

    fn record(&mut self, plaintext: &[u8], samples: u64) -> Result<Record, SealError> {
        let index = self.sealer.count();
        let sealed = self.seal(plaintext, false)?;
        let body = Bytes::from([samples.to_be_bytes().as_slice(), &sealed].concat());
        Ok(Record { kind: RecordKind::Chunk, message: self.message(), index, body })
    }

    fn seal(&mut self, plaintext: &[u8], last: bool) -> Result<Vec<u8>, SealError> {
        let sealed = self.sealer.seal(plaintext, last)?;
        let head = chunk_head(&sealed);
        self.hash.update(&head);
        self.hash.update(&sealed);
        let len = u64::try_from(head.len() + sealed.len()).unwrap_or(u64::MAX);
        self.object_len = self.object_len.saturating_add(len);
        Ok(sealed)
    }
}

impl fmt::Debug for Deposit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deposit")
            .field("message", &self.message())
            .field("chunks", &self.sealer.count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use hushbox_audit::Hash;
    use proptest::prelude::*;

    use super::*;
    use crate::hpke::generate_mailbox_keys;

    const MARKER: &[u8] = b"MARKER-AUDIO-MARKER-AUDIO";

    fn begin() -> (Deposit, Record) {
        let start = DepositStart {
            message: MessageId::from_bytes([3; 16]),
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
        Deposit::begin(&start, [9; 32]).unwrap()
    }

    fn ending() -> Ending {
        Ending { samples: 8000, end: EndKind::CallerHungUp, quiet: false }
    }

    #[test]
    fn nothing_that_reaches_the_spool_holds_the_audio_or_the_key() {
        let (mut deposit, first) = begin();
        let mut records = vec![first];
        records.extend(deposit.chunk(&MARKER.repeat(20), 8000).unwrap());
        records.push(deposit.finish(ending()).unwrap());
        for record in records {
            for secret in [MARKER, &[9; 8]] {
                assert!(!record.body.windows(secret.len()).any(|window| window == secret));
            }
        }
    }

    #[test]
    fn frames_longer_than_a_chunk_become_several() {
        let (mut deposit, _) = begin();
        let records = deposit.chunk(&[0; limits::CHUNK_BYTES_MAX + 1], 8000).unwrap();
        assert_eq!(records.iter().map(|record| record.index).collect::<Vec<_>>(), [0, 1]);
        assert!(records.iter().all(|record| record.body.len() <= limits::SPOOL_PAYLOAD_BYTES_MAX));
        assert!(deposit.chunk(&[], 8000).unwrap().is_empty());
    }

    #[test]
    fn the_last_record_counts_and_hashes_what_was_sealed() {
        let (mut deposit, first) = begin();
        let first = First::parse(&first.body).unwrap();
        let chunk = deposit.chunk(b"frames", 8000).unwrap().remove(0);
        let last = Last::parse(&deposit.finish(ending()).unwrap().body).unwrap();
        let mut object = first.stream.to_bytes().to_vec();
        for sealed in [parse_chunk(&chunk.body).unwrap().1, last.sealed_end.clone()] {
            object.extend_from_slice(&chunk_head(&sealed));
            object.extend_from_slice(&sealed);
        }
        assert_eq!(last.chunk_count, 2);
        assert_eq!(last.object_len, u64::try_from(object.len()).unwrap());
        assert_eq!(last.object_hash, Hash::of(&object));
    }

    #[test]
    fn a_deposit_prints_no_key() {
        let printed = format!("{:?}", begin().0);
        assert!(!printed.contains("key") && !printed.contains('9'), "{printed}");
    }

    #[test]
    fn every_end_has_a_code_of_its_own() {
        for code in 0..=255 {
            if let Some(end) = EndKind::of(code) {
                assert_eq!(end.code(), code);
            }
        }
        assert_eq!((0..=255).filter_map(EndKind::of).count(), 7);
    }

    proptest! {
        #[test]
        fn bodies_that_are_records_are_written_as_they_were_read(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            len in any::<prop::sample::Index>(),
        ) {
            let (deposit, first) = begin();
            let last = deposit.finish(ending()).unwrap();
            for body in [first.body, last.body] {
                let mut bytes = body.to_vec();
                for (at, byte) in &changes {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
                bytes.truncate(body.len() - len.index(4) * len.index(body.len() + 1) / 4);
                if let Ok(first) = First::parse(&bytes) {
                    prop_assert_eq!(first.to_bytes(), bytes.clone());
                }
                if let Ok(last) = Last::parse(&bytes) {
                    prop_assert_eq!(last.to_bytes(), bytes.clone());
                }
                let _ = parse_chunk(&Bytes::from(bytes));
            }
        }
    }
}
