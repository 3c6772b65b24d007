//! A record: an event with its place in time and in the log.
//!
//! Format, version 1, big-endian:
//!
//! ```text
//! version 1 | seq 8 | utc, microseconds since 1970 8 | monotonic, milliseconds since start 8 | node 16 | prev 32
//! | event code 2 | outcome 1 | who | n 1, n fields in ascending order: tag 1, length 2, bytes
//! | n 1, n details in ascending order: name length 1, name, kind 1, length 2, bytes
//! who: 1 person 16 | 2 uid 4 | 3 id length 1, id, 0 or 1 person 16 | 4 system | 5 stranger
//! ```
//!
//! `prev` is the leaf hash of the record before. Every record has exactly one encoding.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hushbox_policy::{
    AccountId, CallId, DeviceId, MailboxId, MessageId, NodeId, PersonId, Reason, SessionId, TrunkId,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::Error;
use crate::detail::{Detail, DetailValue};
use crate::event::{Event, EventName, Outcome, Who};
use crate::hash::{Hash, leaf_hash};

const VERSION: u8 = 1;

/// An event with its place in time and in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log: the index of its leaf.
    pub seq: u64,
    /// When, to the microsecond.
    pub utc: Timestamp,
    /// Milliseconds of running time since the log was opened. It begins anew with each start of the server.
    pub monotonic_ms: u64,
    /// Whose log it is.
    pub node: NodeId,
    /// The leaf hash of the record before; of the first, zeros.
    pub prev: Hash,
    /// What happened.
    pub event: Event,
}

impl Record {
    /// The record as bytes: what is hashed, and what stands in the log.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(320);
        out.push(VERSION);
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.utc.as_microsecond().to_be_bytes());
        out.extend_from_slice(&self.monotonic_ms.to_be_bytes());
        out.extend_from_slice(self.node.as_bytes());
        out.extend_from_slice(self.prev.as_bytes());
        out.extend_from_slice(&self.event.name.code().to_be_bytes());
        out.push(self.event.outcome.code());
        write_who(&self.event.who, &mut out);
        write_fields(&self.event, &mut out);
        write_detail(&self.event.detail, &mut out);
        out
    }

    /// The hash of its leaf.
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(&self.to_bytes())
    }

    /// The record that these bytes are.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] and [`Error::Record`] for bytes that no record has.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = Reader(bytes);
        if input.u8()? != VERSION {
            return Err(Error::Version);
        }
        let seq = u64::from_be_bytes(input.array()?);
        let utc = Timestamp::from_microsecond(i64::from_be_bytes(input.array()?));
        let monotonic_ms = u64::from_be_bytes(input.array()?);
        let node = NodeId::from_bytes(input.array()?);
        let prev = Hash::from_bytes(input.array()?);
        let name = u16::from_be_bytes(input.array()?);
        let mut event = Event::new(EventName::from_code(name).ok_or(Error::Record)?, Who::System);
        let outcome = input.u8()?;
        let known = Outcome::ALL.into_iter().find(|known| known.code() == outcome);
        event.outcome = known.ok_or(Error::Record)?;
        event.who = read_who(&mut input)?;
        read_fields(&mut input, &mut event)?;
        event.detail = read_detail(&mut input)?;
        if !input.0.is_empty() {
            return Err(Error::Record);
        }
        Ok(Self { seq, utc: utc.map_err(|_| Error::Record)?, monotonic_ms, node, prev, event })
    }
}

fn write_who(who: &Who, out: &mut Vec<u8>) {
    match who {
        Who::Person(person) => {
            out.push(1);
            out.extend_from_slice(person.as_bytes());
        }
        Who::Operator { uid } => {
            out.push(2);
            out.extend_from_slice(&uid.to_be_bytes());
        }
        Who::Rule { id, set_by } => {
            out.push(3);
            write_short(id, out);
            out.push(set_by.is_some().into());
            if let Some(person) = set_by {
                out.extend_from_slice(person.as_bytes());
            }
        }
        Who::System => out.push(4),
        Who::Stranger => out.push(5),
    }
}

fn read_who(input: &mut Reader<'_>) -> Result<Who, Error> {
    Ok(match input.u8()? {
        1 => Who::Person(PersonId::from_bytes(input.array()?)),
        2 => Who::Operator { uid: u32::from_be_bytes(input.array()?) },
        3 => Who::Rule {
            id: Cow::Owned(input.short()?),
            set_by: match input.u8()? {
                0 => None,
                1 => Some(PersonId::from_bytes(input.array()?)),
                _ => return Err(Error::Record),
            },
        },
        4 => Who::System,
        5 => Who::Stranger,
        _ => return Err(Error::Record),
    })
}

fn write_fields(event: &Event, out: &mut Vec<u8>) {
    let uid = event.uid.map(u32::to_be_bytes);
    let fields: [(u8, Option<&[u8]>); 10] = [
        (1, event.account.as_ref().map(|id| &id.as_bytes()[..])),
        (2, event.mailbox.as_ref().map(|id| &id.as_bytes()[..])),
        (3, event.message.as_ref().map(|id| &id.as_bytes()[..])),
        (4, event.device.as_ref().map(|id| &id.as_bytes()[..])),
        (5, event.trunk.as_ref().map(|id| &id.as_bytes()[..])),
        (6, event.session.as_ref().map(|id| &id.as_bytes()[..])),
        (7, event.call.as_ref().map(|id| &id.as_bytes()[..])),
        (8, uid.as_ref().map(|uid| &uid[..])),
        (9, event.rule.as_ref().map(|rule| rule.as_bytes())),
        (10, event.reason.as_ref().map(|reason| reason.as_str().as_bytes())),
    ];
    out.push(length(fields.iter().filter(|(_, bytes)| bytes.is_some()).count()));
    for (tag, bytes) in fields {
        if let Some(bytes) = bytes {
            out.push(tag);
            write_long(bytes, out);
        }
    }
}

fn read_fields(input: &mut Reader<'_>, event: &mut Event) -> Result<(), Error> {
    let mut last = 0;
    for _ in 0..input.u8()? {
        let tag = input.u8()?;
        let bytes = input.long()?;
        if tag <= last {
            return Err(Error::Record);
        }
        last = tag;
        match tag {
            1 => event.account = Some(AccountId::from_bytes(array(bytes)?)),
            2 => event.mailbox = Some(MailboxId::from_bytes(array(bytes)?)),
            3 => event.message = Some(MessageId::from_bytes(array(bytes)?)),
            4 => event.device = Some(DeviceId::from_bytes(array(bytes)?)),
            5 => event.trunk = Some(TrunkId::from_bytes(array(bytes)?)),
            6 => event.session = Some(SessionId::from_bytes(array(bytes)?)),
            7 => event.call = Some(CallId::from_bytes(array(bytes)?)),
            8 => event.uid = Some(u32::from_be_bytes(array(bytes)?)),
            9 => event.rule = Some(Cow::Owned(text(bytes)?)),
            10 => event.reason = Some(Reason::read_back(text(bytes)?)),
            _ => return Err(Error::Record),
        }
    }
    Ok(())
}

fn write_detail(detail: &Detail, out: &mut Vec<u8>) {
    out.push(length(detail.0.len()));
    for (name, value) in &detail.0 {
        write_short(name, out);
        match value {
            DetailValue::Count(count) => {
                out.push(1);
                write_long(&count.to_be_bytes(), out);
            }
            DetailValue::Flag(flag) => {
                out.push(2);
                write_long(&[u8::from(*flag)], out);
            }
            DetailValue::Hash(hash) => {
                out.push(3);
                write_long(hash.as_bytes(), out);
            }
            DetailValue::Id(id) => {
                out.push(4);
                write_long(id.as_bytes(), out);
            }
            DetailValue::Word(word) => {
                out.push(5);
                write_long(word.as_bytes(), out);
            }
        }
    }
}

fn read_detail(input: &mut Reader<'_>) -> Result<Detail, Error> {
    let mut detail = BTreeMap::new();
    for _ in 0..input.u8()? {
        let name = Cow::Owned(input.short()?);
        if detail.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(Error::Record);
        }
        let kind = input.u8()?;
        let bytes = input.long()?;
        let value = match (kind, bytes) {
            (1, bytes) => DetailValue::Count(u64::from_be_bytes(array(bytes)?)),
            (2, [0]) => DetailValue::Flag(false),
            (2, [1]) => DetailValue::Flag(true),
            (3, bytes) => DetailValue::Hash(Hash::from_bytes(array(bytes)?)),
            (4, bytes) => DetailValue::Id(Uuid::from_bytes(array(bytes)?)),
            (5, bytes) => DetailValue::Word(Cow::Owned(text(bytes)?)),
            _ => return Err(Error::Record),
        };
        detail.insert(name, value);
    }
    Ok(Detail(detail))
}

/// Names, words and their number are the program's own, and short.
fn length(length: usize) -> u8 {
    u8::try_from(length).expect("names and lists that stand in the program are short")
}

fn write_short(text: &str, out: &mut Vec<u8>) {
    out.push(length(text.len()));
    out.extend_from_slice(text.as_bytes());
}

fn write_long(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(bytes.len()).expect("words and reasons are short");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Error::Record)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        array(self.take(N)?)
    }

    fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    fn short(&mut self) -> Result<String, Error> {
        let length = self.u8()?;
        text(self.take(length.into())?)
    }

    fn long(&mut self) -> Result<&'b [u8], Error> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(length.into())
    }
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::Record)
}

fn text(bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::Record)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(detail: Detail) -> Record {
        Record {
            seq: 7,
            utc: Timestamp::from_microsecond(1_772_600_767_890_123).unwrap(),
            monotonic_ms: 123_456,
            node: NodeId::from_bytes([1; 16]),
            prev: Hash::of(b"before"),
            event: Event { detail, ..Event::new(EventName::CallIn, Who::Stranger) },
        }
    }

    #[test]
    fn a_record_with_all_that_details_can_say_is_within_the_limit() {
        const NAMES: [&str; 32] = [
            "detail-00",
            "detail-01",
            "detail-02",
            "detail-03",
            "detail-04",
            "detail-05",
            "detail-06",
            "detail-07",
            "detail-08",
            "detail-09",
            "detail-10",
            "detail-11",
            "detail-12",
            "detail-13",
            "detail-14",
            "detail-15",
            "detail-16",
            "detail-17",
            "detail-18",
            "detail-19",
            "detail-20",
            "detail-21",
            "detail-22",
            "detail-23",
            "detail-24",
            "detail-25",
            "detail-26",
            "detail-27",
            "detail-28",
            "detail-29",
            "detail-30",
            "detail-31",
        ];
        let detail = NAMES.iter().fold(Detail::new(), |all, name| all.with(name, Hash::of(b"x")));
        let mut full = record(detail);
        full.event.reason = Some(Reason::new(&"é".repeat(200)).unwrap());
        assert!(full.to_bytes().len() < crate::limits::RECORD_LENGTH_MAX);
        assert_eq!(Record::from_bytes(&full.to_bytes()), Ok(full));
    }

    #[test]
    fn a_record_of_a_later_version_is_named_so() {
        let mut bytes = record(Detail::new()).to_bytes();
        bytes[0] = 2;
        assert_eq!(Record::from_bytes(&bytes), Err(Error::Version));
    }

    #[test]
    fn a_record_that_is_cut_or_longer_is_refused() {
        let bytes = record(Detail::new().with("count", 3_u64)).to_bytes();
        for length in 0..bytes.len() {
            assert!(Record::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        assert_eq!(Record::from_bytes(&[&bytes[..], &[0]].concat()), Err(Error::Record));
    }

    proptest! {
        /// One encoding for each record: nothing can be hidden in how it is written.
        #[test]
        fn whatever_reads_is_written_the_same(
            place in 0_usize..400, with in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let detail = Detail::new()
                .with("count", 3_u64)
                .with("flag", true)
                .with("hash", Hash::of(b"x"))
                .with("word", "caller-hung-up");
            let mut bytes = record(detail).to_bytes();
            let place = place.min(bytes.len());
            let end = (place + with.len()).min(bytes.len());
            bytes.splice(place..end, with);
            if let Ok(record) = Record::from_bytes(&bytes) {
                prop_assert_eq!(record.to_bytes(), bytes);
            }
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Record::from_bytes(&[&[VERSION], &bytes[..]].concat());
        }
    }
}
