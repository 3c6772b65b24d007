//! The bodies of the records that a recording leaves in the spool, as they stand there.

use bytes::Bytes;
use hushbox_audit::Hash;
use jiff::Timestamp;

use super::EndKind;
use crate::error::FormatError;
use crate::manifest::flag;
use crate::seal::{HEADER_LEN, StreamHeader, plausible_chunk_len};
use crate::spool::{Record, RecordKind};
use crate::wire::Reader;

/// The body of a message's first record.
///
/// ```text
/// version(1) zero(3) | epoch(4) | received at, ms(8) | sample rate(4) | stream header(68)
/// | length(2) sealed key | length(2) sealed envelope
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// What the stream belongs to.
    pub stream: StreamHeader,
    /// The epoch of the mailbox's key.
    pub epoch: u32,
    /// When the recording began.
    pub received_at: Timestamp,
    /// Samples a second.
    pub sample_rate: u32,
    /// The message's key, sealed to the mailbox.
    pub sealed_key: Vec<u8>,
    /// The envelope, sealed to the mailbox.
    pub sealed_envelope: Vec<u8>,
}

const RECORD_VERSION: u8 = 1;

impl First {
    pub(crate) fn to_record(&self) -> Record {
        Record {
            kind: RecordKind::First,
            message: self.stream.message,
            index: 0,
            body: Bytes::from(self.to_bytes()),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![RECORD_VERSION, 0, 0, 0];
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.received_at.as_millisecond().to_be_bytes());
        bytes.extend_from_slice(&self.sample_rate.to_be_bytes());
        bytes.extend_from_slice(&self.stream.to_bytes());
        for part in [&self.sealed_key, &self.sealed_envelope] {
            bytes.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// Reads a first record's body.
    pub fn parse(bytes: &[u8]) -> Result<First, FormatError> {
        let mut reader = versioned(bytes)?;
        let mut fields = || {
            if reader.array::<3>()? != [0; 3] {
                return None;
            }
            let first = First {
                epoch: reader.u32()?,
                received_at: Timestamp::from_millisecond(reader.i64()?).ok()?,
                sample_rate: reader.u32()?,
                stream: StreamHeader::parse(reader.take(HEADER_LEN)?).ok()?,
                sealed_key: reader.short_bytes()?.to_vec(),
                sealed_envelope: reader.short_bytes()?.to_vec(),
            };
            reader.is_empty().then_some(first)
        };
        fields().ok_or(FormatError::Malformed("first record"))
    }
}

/// The body of a chunk's record: how long the recording was with it, and the sealed chunk.
pub(crate) fn parse_chunk(body: &Bytes) -> Option<(u64, Bytes)> {
    let samples = Reader::new(body).u64()?;
    let sealed = body.slice(8..);
    plausible_chunk_len(sealed.len()).then_some((samples, sealed))
}

/// The body of a message's last record.
///
/// ```text
/// version(1) end(1) quiet(1) zero(1) | chunk count(4) | samples(8) | sample rate(4) | object length(8) | hash(32)
/// | length(2) sealed last chunk
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// How it ended.
    pub end: EndKind,
    /// Nobody was heard.
    pub quiet: bool,
    /// Chunks, the empty last one included.
    pub chunk_count: u32,
    /// Length in samples.
    pub samples: u64,
    /// Samples a second.
    pub sample_rate: u32,
    /// Bytes of the object that the chunks make.
    pub object_len: u64,
    /// SHA-256 of that object.
    pub object_hash: Hash,
    /// The empty last chunk, sealed as the last.
    pub sealed_end: Bytes,
}

impl Last {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![RECORD_VERSION, self.end.code(), u8::from(self.quiet), 0];
        bytes.extend_from_slice(&self.chunk_count.to_be_bytes());
        bytes.extend_from_slice(&self.samples.to_be_bytes());
        bytes.extend_from_slice(&self.sample_rate.to_be_bytes());
        bytes.extend_from_slice(&self.object_len.to_be_bytes());
        bytes.extend_from_slice(self.object_hash.as_bytes());
        let len = u16::try_from(self.sealed_end.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&self.sealed_end);
        bytes
    }

    /// Reads a last record's body.
    pub fn parse(bytes: &[u8]) -> Result<Last, FormatError> {
        let mut reader = versioned(bytes)?;
        let mut fields = || {
            let end = EndKind::of(reader.u8()?)?;
            let quiet = flag(reader.u8()?)?;
            if reader.u8()? != 0 {
                return None;
            }
            let last = Last {
                end,
                quiet,
                chunk_count: reader.u32()?,
                samples: reader.u64()?,
                sample_rate: reader.u32()?,
                object_len: reader.u64()?,
                object_hash: Hash::from_bytes(reader.array()?),
                sealed_end: Bytes::copy_from_slice(reader.short_bytes()?),
            };
            (reader.is_empty() && plausible_chunk_len(last.sealed_end.len())).then_some(last)
        };
        fields().ok_or(FormatError::Malformed("last record"))
    }
}

fn versioned(bytes: &[u8]) -> Result<Reader<'_>, FormatError> {
    let mut reader = Reader::new(bytes);
    match reader.u8() {
        Some(RECORD_VERSION) => Ok(reader),
        Some(version) => Err(FormatError::Version(version)),
        None => Err(FormatError::Malformed("version")),
    }
}
