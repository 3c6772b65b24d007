//! Playing a message: first the whole object is read and its hash compared with the manifest's, then it is read again,
//! chunk by chunk, and opened. Nothing of an object that differs, and nothing of a chunk that does not open, comes out.
//!
//! The player reads nothing itself. It says which range it wants, and takes the bytes:
//!
//! ```text
//! loop {
//!     match player.next_frames()? {
//!         Some(frames) => decode(frames),
//!         None => match player.wanted() {
//!             Some(range) => player.push(get(player.object_key(), range))?,
//!             None => break,       // played to its end
//!         },
//!     }
//! }
//! ```

use std::fmt;
use std::ops::Range;

use aws_lc_rs::digest;
use bytes::{Bytes, BytesMut};
use zeroize::Zeroize;

use crate::error::IntegrityError;
use crate::keys::MessageKey;
use crate::limits;
use crate::manifest::Manifest;
use crate::objects::ObjectKey;
use crate::seal::{CHUNK_HEAD_LEN, HEADER_LEN, Opener, StreamHeader, plausible_chunk_len};
use crate::wire::{Reader, hash_of_digest};

/// One authorised playing of one message.
pub struct Player {
    manifest: Manifest,
    object_key: ObjectKey,
    /// Until the header is known; then the key is in the opener.
    key: Option<MessageKey>,
    opener: Option<Opener>,
    phase: Phase,
    /// How far the object was pushed in this phase.
    at: u64,
    /// Sealed bytes that were pushed and not opened yet.
    pending: BytesMut,
    /// The next chunk to open.
    next: u32,
    failed: Option<IntegrityError>,
}

enum Phase {
    Verifying(Box<digest::Context>),
    Playing,
}

impl Player {
    pub(crate) fn new(key: MessageKey, manifest: Manifest, object_key: ObjectKey) -> Player {
        Player {
            manifest,
            object_key,
            key: Some(key),
            opener: None,
            phase: Phase::Verifying(Box::new(digest::Context::new(&digest::SHA256))),
            at: 0,
            pending: BytesMut::new(),
            next: 0,
            failed: None,
        }
    }

    /// What the message's node signed.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The object to read.
    pub fn object_key(&self) -> &ObjectKey {
        &self.object_key
    }

    /// Whether the whole object has been found to be what was recorded.
    pub fn verified(&self) -> bool {
        matches!(self.phase, Phase::Playing)
    }

    /// The range of the object to push next; none once everything was pushed, or after a failure.
    pub fn wanted(&self) -> Option<Range<u64>> {
        let len = self.manifest.object_len;
        if self.failed.is_some() || !self.more() {
            return None;
        }
        Some(self.at..len.min(self.at.saturating_add(limits::PLAYER_RANGE_BYTES)))
    }

    /// Takes the bytes of the wanted range. Fewer are taken too and the rest is wanted next; none at all means that
    /// the object is too short, and more than were wanted that it is too long.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), IntegrityError> {
        self.ok()?;
        let Some(wanted) = self.wanted() else { return self.fail(IntegrityError::TooLong) };
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if len == 0 {
            return self.fail(IntegrityError::TooShort);
        }
        if len > wanted.end - wanted.start {
            return self.fail(IntegrityError::TooLong);
        }
        self.at += len;
        match &mut self.phase {
            Phase::Verifying(context) => {
                context.update(bytes);
                if self.at < self.manifest.object_len {
                    return Ok(());
                }
                if hash_of_digest(&context.clone().finish()) != self.manifest.object_hash {
                    return self.fail(IntegrityError::Hash);
                }
                self.phase = Phase::Playing;
                self.at = 0;
                Ok(())
            }
            Phase::Playing => {
                self.pending.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// The next chunk's frames; none when more bytes are wanted first, or at the end ([`Player::finished`]).
    pub fn next_frames(&mut self) -> Result<Option<Bytes>, IntegrityError> {
        self.ok()?;
        let opened = self.open_next();
        opened.inspect_err(|error| {
            self.failed = Some(*error);
            self.pending.clear();
        })
    }

    /// Played to its end: every chunk was opened.
    pub fn finished(&self) -> bool {
        self.failed.is_none()
            && self.verified()
            && self.opener.is_some()
            && self.next == self.manifest.chunk_count
    }

    /// Goes back to the beginning. What was verified stays so; each chunk is opened, and so checked, again.
    pub fn rewind(&mut self) {
        if self.verified() {
            self.at = 0;
            self.next = 0;
            self.pending.clear();
        }
    }

    fn ok(&self) -> Result<(), IntegrityError> {
        self.failed.map_or(Ok(()), Err)
    }

    fn fail<T>(&mut self, error: IntegrityError) -> Result<T, IntegrityError> {
        self.failed = Some(error);
        self.pending.clear();
        Err(error)
    }

    fn open_next(&mut self) -> Result<Option<Bytes>, IntegrityError> {
        if !self.verified() {
            return if self.more() { Ok(None) } else { Err(IntegrityError::TooShort) };
        }
        if self.next == 0 && !self.header()? {
            return Ok(None);
        }
        loop {
            if self.next == self.manifest.chunk_count {
                let all_read = self.at == self.manifest.object_len;
                return if self.pending.is_empty() && all_read {
                    Ok(None)
                } else {
                    Err(IntegrityError::TooLong)
                };
            }
            let Some(mut chunk) = self.take_chunk()? else { return Ok(None) };
            let index = self.next;
            let last = index + 1 == self.manifest.chunk_count && !self.manifest.truncated;
            let opener = self.opener.as_mut().ok_or(IntegrityError::StreamHeader)?;
            let frames = opener.open(index, last, &mut chunk).map(Bytes::copy_from_slice);
            chunk.as_mut().zeroize();
            let frames = frames.ok_or(IntegrityError::Chunk(index))?;
            self.next += 1;
            // The last chunk of a finished message is empty: it only says that there is no more.
            if !frames.is_empty() {
                return Ok(Some(frames));
            }
        }
    }

    /// Takes the header off what was pushed; false while there is too little.
    fn header(&mut self) -> Result<bool, IntegrityError> {
        // Only where the play pass has just begun: afterwards the header is taken already.
        let taken = self.at.saturating_sub(u64::try_from(self.pending.len()).unwrap_or(u64::MAX));
        if taken > 0 {
            return Ok(true);
        }
        if self.pending.len() < HEADER_LEN {
            return if self.more() { Ok(false) } else { Err(IntegrityError::TooShort) };
        }
        let bytes = self.pending.split_to(HEADER_LEN);
        let header = StreamHeader::parse(&bytes).map_err(|_| IntegrityError::StreamHeader)?;
        let manifest = &self.manifest;
        let same = header.account == manifest.account
            && header.mailbox == manifest.mailbox
            && header.message == manifest.message
            && header.profile == manifest.profile
            && header.frame_format == manifest.frame_format;
        if !same {
            return Err(IntegrityError::StreamHeader);
        }
        if let Some(key) = self.key.take() {
            self.opener = Opener::new(&key, &header);
        }
        Ok(true)
    }

    /// A whole sealed chunk, if there is one.
    fn take_chunk(&mut self) -> Result<Option<BytesMut>, IntegrityError> {
        let Some(len) = Reader::new(&self.pending).u32() else { return self.short() };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if !plausible_chunk_len(len) {
            return Err(IntegrityError::Chunk(self.next));
        }
        if self.pending.len() < CHUNK_HEAD_LEN + len {
            return self.short();
        }
        let mut chunk = self.pending.split_to(CHUNK_HEAD_LEN + len);
        Ok(Some(chunk.split_off(CHUNK_HEAD_LEN)))
    }

    /// Too little for a chunk: more is wanted, unless there is no more.
    fn short(&self) -> Result<Option<BytesMut>, IntegrityError> {
        if self.more() { Ok(None) } else { Err(IntegrityError::TooShort) }
    }

    /// Whether there is more to be pushed in this phase.
    fn more(&self) -> bool {
        self.at < self.manifest.object_len
    }
}

impl fmt::Debug for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Player")
            .field("message", &self.manifest.message)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
