//! The sealed stream: a message's audio in chunks, as it lies in an object.
//!
//! AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015): the nonce is a prefix of 7 bytes,
//! the chunk's index (32 bits) and a byte that is 1 in the last chunk only. The associated data of each chunk is the
//! whole header (so version, profile, account, mailbox, message) and the index. A chunk that is flipped, swapped, left
//! out, cut off or taken from another message does not open.
//!
//! ```text
//! header  magic "HBAUDIO" version(1) | suite(1) profile(1) frame format(2)
//!         | account(16) mailbox(16) message(16) | nonce prefix(7) zero(1)          = 68 bytes
//! chunk   length(4) | ciphertext | tag(16)          repeated; the length counts ciphertext and tag
//! ```

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use hushbox_policy::{AccountId, MailboxId, MessageId, Profile};

use crate::error::{FormatError, SealError};
use crate::keys::MessageKey;
use crate::limits;
use crate::wire::{Reader, len_u32};

const MAGIC: &[u8; 7] = b"HBAUDIO";
const VERSION: u8 = 1;
const SUITE_AES_256_GCM_STREAM: u8 = 1;
/// Bytes of a stream's header.
pub const HEADER_LEN: usize = 68;
/// Bytes before each chunk.
pub(crate) const CHUNK_HEAD_LEN: usize = 4;
/// Bytes of a chunk's tag.
pub(crate) const TAG_LEN: usize = 16;
const PREFIX_LEN: usize = 7;
/// Chunks are numbered in four bytes; the associated data is the header and the index.
const AAD_LEN: usize = HEADER_LEN + 4;

/// What the chunks of a stream belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamHeader {
    /// The profile under which it was recorded.
    pub profile: Profile,
    /// Media's format of the frames; the store does not read it.
    pub frame_format: u16,
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The message.
    pub message: MessageId,
    pub(crate) prefix: [u8; PREFIX_LEN],
}

impl StreamHeader {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let fields: [&[u8]; 8] = [
            MAGIC,
            &[VERSION, SUITE_AES_256_GCM_STREAM, self.profile.to_byte()],
            &self.frame_format.to_be_bytes(),
            self.account.as_bytes(),
            self.mailbox.as_bytes(),
            self.message.as_bytes(),
            &self.prefix,
            &[0],
        ];
        let mut bytes = [0; HEADER_LEN];
        for (to, from) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<StreamHeader, FormatError> {
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len()) != Some(MAGIC) {
            return Err(FormatError::Magic);
        }
        let version = reader.u8().ok_or(FormatError::Malformed("version"))?;
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        let mut fields = || {
            let suite = reader.u8()?;
            let profile = Profile::from_byte(reader.u8()?)?;
            let header = StreamHeader {
                profile,
                frame_format: reader.u16()?,
                account: AccountId::from_bytes(reader.array()?),
                mailbox: MailboxId::from_bytes(reader.array()?),
                message: MessageId::from_bytes(reader.array()?),
                prefix: reader.array()?,
            };
            let zero = reader.u8()?;
            (suite == SUITE_AES_256_GCM_STREAM && zero == 0 && reader.is_empty()).then_some(header)
        };
        fields().ok_or(FormatError::Malformed("stream header"))
    }
}

/// Both halves of the construction: key, header and the nonce rule.
struct Stream {
    key: LessSafeKey,
    prefix: [u8; PREFIX_LEN],
    aad: [u8; AAD_LEN],
}

impl Stream {
    fn new(key: &MessageKey, header: &StreamHeader) -> Option<Stream> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.expose()).ok()?);
        let mut aad = [0; AAD_LEN];
        aad[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        Some(Stream { key, prefix: header.prefix, aad })
    }

    fn nonce(&self, index: u32, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..PREFIX_LEN].copy_from_slice(&self.prefix);
        nonce[PREFIX_LEN..11].copy_from_slice(&index.to_be_bytes());
        nonce[11] = u8::from(last);
        Nonce::assume_unique_for_key(nonce)
    }

    fn aad(&mut self, index: u32) -> Aad<[u8; AAD_LEN]> {
        self.aad[HEADER_LEN..].copy_from_slice(&index.to_be_bytes());
        Aad::from(self.aad)
    }
}

/// Seals a message's chunks in order. It can't open them again: the key goes into the cipher and no further.
pub(crate) struct Sealer {
    stream: Stream,
    header: StreamHeader,
    next: u32,
}

impl Sealer {
    /// The prefix of the nonce is derived from the key, so that a deposit takes one random value; the header says it,
    /// so that another rule can follow.
    pub(crate) fn new(
        key: &MessageKey,
        profile: Profile,
        frame_format: u16,
        account: AccountId,
        mailbox: MailboxId,
        message: MessageId,
    ) -> Result<Sealer, SealError> {
        let prefix = nonce_prefix(key)?;
        let header = StreamHeader { profile, frame_format, account, mailbox, message, prefix };
        let stream = Stream::new(key, &header).ok_or(SealError::Cipher)?;
        Ok(Sealer { stream, header, next: 0 })
    }

    pub(crate) fn header(&self) -> &StreamHeader {
        &self.header
    }

    /// Chunks sealed so far.
    pub(crate) fn count(&self) -> u32 {
        self.next
    }

    /// Seals the next chunk: ciphertext and tag.
    pub(crate) fn seal(&mut self, plaintext: &[u8], last: bool) -> Result<Vec<u8>, SealError> {
        debug_assert!(plaintext.len() <= limits::CHUNK_BYTES_MAX, "the caller cuts");
        // One place is kept for the last chunk, so that a message can always be finished.
        let most = if last { limits::CHUNKS_MAX } else { limits::CHUNKS_MAX - 1 };
        if self.next >= most {
            return Err(SealError::TooManyChunks);
        }
        let index = self.next;
        let nonce = self.stream.nonce(index, last);
        let aad = self.stream.aad(index);
        let mut sealed = Vec::with_capacity(plaintext.len() + TAG_LEN);
        sealed.extend_from_slice(plaintext);
        let tag = self
            .stream
            .key
            .seal_in_place_separate_tag(nonce, aad, &mut sealed)
            .map_err(|_| SealError::Cipher)?;
        sealed.extend_from_slice(tag.as_ref());
        self.next += 1;
        Ok(sealed)
    }
}

fn nonce_prefix(key: &MessageKey) -> Result<[u8; PREFIX_LEN], SealError> {
    struct Prefix;
    impl hkdf::KeyType for Prefix {
        fn len(&self) -> usize {
            PREFIX_LEN
        }
    }
    let mut prefix = [0; PREFIX_LEN];
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"hushbox stream 1")
        .extract(key.expose())
        .expand(&[b"nonce prefix"], Prefix)
        .and_then(|okm| okm.fill(&mut prefix))
        .map_err(|_| SealError::Cipher)?;
    Ok(prefix)
}

/// Opens a message's chunks. It keeps no place of its own, so that a listener may go back.
pub(crate) struct Opener {
    stream: Stream,
}

impl Opener {
    pub(crate) fn new(key: &MessageKey, header: &StreamHeader) -> Option<Opener> {
        Stream::new(key, header).map(|stream| Opener { stream })
    }

    /// Opens a chunk in place and answers its plaintext; nothing of a chunk that does not open comes out.
    pub(crate) fn open<'a>(
        &mut self,
        index: u32,
        last: bool,
        sealed: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        let nonce = self.stream.nonce(index, last);
        let aad = self.stream.aad(index);
        self.stream.key.open_in_place(nonce, aad, sealed).ok().map(|opened| &*opened)
    }
}

/// A chunk as it lies in the object: its length, then the sealed bytes.
pub(crate) fn chunk_head(sealed: &[u8]) -> [u8; CHUNK_HEAD_LEN] {
    len_u32(sealed.len()).to_be_bytes()
}

/// Whether a chunk may have this sealed length.
pub(crate) fn plausible_chunk_len(len: usize) -> bool {
    (TAG_LEN..=limits::CHUNK_BYTES_MAX + TAG_LEN).contains(&len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealer(key: u8, message: u8) -> Sealer {
        Sealer::new(
            &MessageKey::from_bytes(&[key; 32]),
            Profile::Hipaa,
            1,
            AccountId::from_bytes([1; 16]),
            MailboxId::from_bytes([2; 16]),
            MessageId::from_bytes([message; 16]),
        )
        .unwrap()
    }

    fn opener(key: u8, header: &StreamHeader) -> Opener {
        Opener::new(&MessageKey::from_bytes(&[key; 32]), header).unwrap()
    }

    fn opens(opener: &mut Opener, index: u32, last: bool, sealed: &[u8]) -> Option<Vec<u8>> {
        opener.open(index, last, &mut sealed.to_vec()).map(<[u8]>::to_vec)
    }

    #[test]
    fn a_chunk_opens_at_its_place_and_nowhere_else() {
        let mut sealer = sealer(1, 3);
        let first = sealer.seal(b"one", false).unwrap();
        let second = sealer.seal(b"two", true).unwrap();
        let mut opener = opener(1, sealer.header());
        assert_eq!(opens(&mut opener, 0, false, &first).as_deref(), Some(b"one".as_slice()));
        assert_eq!(opens(&mut opener, 1, true, &second).as_deref(), Some(b"two".as_slice()));
        assert_eq!(opens(&mut opener, 1, false, &first), None, "moved");
        assert_eq!(opens(&mut opener, 0, true, &first), None, "made the last one");
        assert_eq!(opens(&mut opener, 1, false, &second), None, "made one that is not the last");
    }

    #[test]
    fn a_chunk_of_another_message_does_not_open() {
        let mut one = sealer(1, 3);
        let mut other_key = sealer(2, 3);
        let mut other_message = sealer(1, 4);
        let mut opener = opener(1, one.header());
        assert!(opens(&mut opener, 0, false, &one.seal(b"x", false).unwrap()).is_some());
        assert_eq!(opens(&mut opener, 0, false, &other_key.seal(b"x", false).unwrap()), None);
        assert_eq!(opens(&mut opener, 0, false, &other_message.seal(b"x", false).unwrap()), None);
    }

    #[test]
    fn a_chunk_under_another_profile_does_not_open() {
        let mut sealer = sealer(1, 3);
        let sealed = sealer.seal(b"x", false).unwrap();
        let header = StreamHeader { profile: Profile::Standard, ..*sealer.header() };
        assert_eq!(opens(&mut opener(1, &header), 0, false, &sealed), None);
    }

    #[test]
    fn a_chunk_with_any_bit_flipped_or_cut_anywhere_does_not_open() {
        let mut sealer = sealer(1, 3);
        let sealed = sealer.seal(&[0x55; 40], false).unwrap();
        let mut opener = opener(1, sealer.header());
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opens(&mut opener, 0, false, &flipped), None, "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert_eq!(opens(&mut opener, 0, false, &sealed[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn no_nonce_is_used_twice_and_a_full_message_can_still_be_ended() {
        let mut sealer = sealer(1, 3);
        sealer.next = limits::CHUNKS_MAX - 1;
        assert_eq!(sealer.seal(b"x", false), Err(SealError::TooManyChunks));
        assert!(sealer.seal(b"", true).is_ok());
        assert_eq!(sealer.seal(b"", true), Err(SealError::TooManyChunks));
    }

    #[test]
    fn two_messages_have_two_nonce_prefixes() {
        assert_ne!(sealer(1, 3).header().prefix, sealer(2, 3).header().prefix);
    }

    #[test]
    fn a_later_version_is_named_and_not_guessed_at() {
        let mut bytes = sealer(1, 3).header().to_bytes();
        bytes[7] = 2;
        assert_eq!(StreamHeader::parse(&bytes), Err(FormatError::Version(2)));
        bytes[0] = b'X';
        assert_eq!(StreamHeader::parse(&bytes), Err(FormatError::Magic));
    }

    proptest! {
        #[test]
        fn bytes_that_are_a_header_are_written_as_they_were_read(
            changes in proptest::collection::vec((0..HEADER_LEN, any::<u8>()), 0..4),
            len in 0..=HEADER_LEN + 1,
        ) {
            let mut bytes = sealer(1, 3).header().to_bytes().to_vec();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.resize(len, 0);
            if let Ok(header) = StreamHeader::parse(&bytes) {
                prop_assert_eq!(header.to_bytes().to_vec(), bytes);
            }
        }
    }
}
