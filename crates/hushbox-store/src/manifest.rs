//! A message's manifest: what was recorded, signed by the node that recorded it. Its hash stands in the audit log; a
//! message plays only with both.
//!
//! ```text
//! magic "HBMANIF" version(1) | node(16) account(16) mailbox(16) message(16)
//! | profile(1) end(1) truncated(1) quiet(1) | frame format(2) zero(2)
//! | received at, ms since 1970 (8, signed) | samples(8) | sample rate(4) | chunk count(4)
//! | object length(8) | SHA-256 of the object(32) | SHA-256 of the sealed envelope(32)      = 176 bytes
//! ```

use hushbox_audit::Hash;
use hushbox_policy::{AccountId, MailboxId, MessageId, NodeId, Profile};
use jiff::Timestamp;

use crate::deposit::EndKind;
use crate::error::{FormatError, KeyError};
use crate::limits;
use crate::signing::{Context, NodeKey, VerifyingKey};
use crate::wire::Reader;

const MAGIC: &[u8; 7] = b"HBMANIF";
const VERSION: u8 = 1;

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The node that recorded and signed.
    pub node: NodeId,
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The message.
    pub message: MessageId,
    /// The profile under which it was recorded.
    pub profile: Profile,
    /// How the recording ended.
    pub end: EndKind,
    /// The stream has no last chunk: a crash cut it, and this is all that was synced.
    pub truncated: bool,
    /// Nobody was heard.
    pub quiet: bool,
    /// Media's format of the frames.
    pub frame_format: u16,
    /// When the recording began.
    pub received_at: Timestamp,
    /// Its length in samples; for a truncated one what the recovered chunks said.
    pub samples: u64,
    /// Samples a second.
    pub sample_rate: u32,
    /// Chunks in the object.
    pub chunk_count: u32,
    /// Bytes of the object.
    pub object_len: u64,
    /// SHA-256 of the object.
    pub object_hash: Hash,
    /// SHA-256 of the sealed envelope, so that no other caller can be put beside this audio.
    pub envelope_hash: Hash,
}

impl Manifest {
    /// The bytes that are signed, stored and hashed. The same manifest always gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(176);
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(self.node.as_bytes());
        bytes.extend_from_slice(self.account.as_bytes());
        bytes.extend_from_slice(self.mailbox.as_bytes());
        bytes.extend_from_slice(self.message.as_bytes());
        bytes.extend_from_slice(&[
            self.profile.to_byte(),
            self.end.code(),
            u8::from(self.truncated),
            u8::from(self.quiet),
        ]);
        bytes.extend_from_slice(&self.frame_format.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&self.received_at.as_millisecond().to_be_bytes());
        bytes.extend_from_slice(&self.samples.to_be_bytes());
        bytes.extend_from_slice(&self.sample_rate.to_be_bytes());
        bytes.extend_from_slice(&self.chunk_count.to_be_bytes());
        bytes.extend_from_slice(&self.object_len.to_be_bytes());
        bytes.extend_from_slice(self.object_hash.as_bytes());
        bytes.extend_from_slice(self.envelope_hash.as_bytes());
        bytes
    }

    /// Reads a manifest. That says nothing about who wrote it: see [`SignedManifest::verify`].
    pub fn parse(bytes: &[u8]) -> Result<Manifest, FormatError> {
        if bytes.len() > limits::MANIFEST_BYTES_MAX {
            return Err(FormatError::Malformed("manifest length"));
        }
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len()) != Some(MAGIC) {
            return Err(FormatError::Magic);
        }
        let version = reader.u8().ok_or(FormatError::Malformed("version"))?;
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        read_fields(&mut reader).ok_or(FormatError::Malformed("manifest"))
    }

    /// What the audit log keeps.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.to_bytes())
    }

    /// Signs it.
    pub fn sign(&self, key: &NodeKey) -> Result<SignedManifest, KeyError> {
        let bytes = self.to_bytes();
        let signature = key.sign(Context::Manifest, &bytes)?;
        Ok(SignedManifest { bytes, signature })
    }
}

fn read_fields(reader: &mut Reader<'_>) -> Option<Manifest> {
    let node = NodeId::from_bytes(reader.array()?);
    let account = AccountId::from_bytes(reader.array()?);
    let mailbox = MailboxId::from_bytes(reader.array()?);
    let message = MessageId::from_bytes(reader.array()?);
    let manifest = Manifest {
        node,
        account,
        mailbox,
        message,
        profile: Profile::from_byte(reader.u8()?)?,
        end: EndKind::of(reader.u8()?)?,
        truncated: flag(reader.u8()?)?,
        quiet: flag(reader.u8()?)?,
        frame_format: reader.u16()?,
        received_at: {
            if reader.u16()? != 0 {
                return None;
            }
            Timestamp::from_millisecond(reader.i64()?).ok()?
        },
        samples: reader.u64()?,
        sample_rate: reader.u32()?,
        chunk_count: reader.u32()?,
        object_len: reader.u64()?,
        object_hash: Hash::from_bytes(reader.array()?),
        envelope_hash: Hash::from_bytes(reader.array()?),
    };
    (reader.is_empty() && manifest.chunk_count <= limits::CHUNKS_MAX).then_some(manifest)
}

/// One meaning, one spelling.
pub(crate) fn flag(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// A manifest's bytes and the node's signature over them, as a row keeps both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedManifest {
    /// [`Manifest::to_bytes`].
    pub bytes: Vec<u8>,
    /// ECDSA P-256 with SHA-256, ASN.1.
    pub signature: Vec<u8>,
}

impl SignedManifest {
    /// Whether that node signed these bytes.
    pub fn verify(&self, key: &VerifyingKey) -> bool {
        key.verifies(Context::Manifest, &self.bytes, &self.signature)
    }

    /// What the audit log keeps.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            node: NodeId::from_bytes([1; 16]),
            account: AccountId::from_bytes([2; 16]),
            mailbox: MailboxId::from_bytes([3; 16]),
            message: MessageId::from_bytes([4; 16]),
            profile: Profile::Hipaa,
            end: EndKind::Hash,
            truncated: false,
            quiet: true,
            frame_format: 1,
            received_at: Timestamp::from_millisecond(1_700_000_000_123).unwrap(),
            samples: 80_000,
            sample_rate: 8_000,
            chunk_count: 11,
            object_len: 90_000,
            object_hash: Hash::of(b"object"),
            envelope_hash: Hash::of(b"envelope"),
        }
    }

    #[test]
    fn a_manifest_reads_back_as_it_was_written() {
        let bytes = manifest().to_bytes();
        assert_eq!(bytes.len(), 176);
        assert_eq!(Manifest::parse(&bytes), Ok(manifest()));
    }

    #[test]
    fn a_later_version_is_named_and_not_guessed_at() {
        let mut bytes = manifest().to_bytes();
        bytes[7] = 9;
        assert_eq!(Manifest::parse(&bytes), Err(FormatError::Version(9)));
        assert_eq!(Manifest::parse(b"HBAUDIO\x01"), Err(FormatError::Magic));
    }

    #[test]
    fn a_manifest_changed_in_any_byte_is_not_signed() {
        let key = NodeKey::generate().unwrap();
        let signed = manifest().sign(&key).unwrap();
        assert!(signed.verify(&key.public()));
        for at in 0..signed.bytes.len() {
            let mut changed = signed.clone();
            changed.bytes[at] ^= 1;
            assert!(!changed.verify(&key.public()), "byte {at}");
            assert_ne!(changed.hash(), signed.hash());
        }
    }

    proptest! {
        #[test]
        fn bytes_that_are_a_manifest_are_written_as_they_were_read(
            changes in proptest::collection::vec((0..176_usize, any::<u8>()), 0..4),
            len in 0..=177_usize,
        ) {
            let mut bytes = manifest().to_bytes();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.resize(len, 0);
            if let Ok(manifest) = Manifest::parse(&bytes) {
                prop_assert_eq!(manifest.to_bytes(), bytes);
            }
        }
    }
}
