//! Playing one message: permitted, written down, found whole, then read, opened and decoded as it is heard.

use std::collections::VecDeque;

use bytes::Bytes;
use hushbox_audit::Authorised;
use hushbox_media::audio::{duration_to_samples, samples_to_duration};
use hushbox_media::recording::Decoder;
use hushbox_policy::{Listen, Now};
use hushbox_store::Player;

use super::{Context, Output, Unplayable};
use crate::limits::{PLAYBACK_AHEAD, SKIP};
use crate::tui::menu::{Skip, Ticket};

/// One listening.
pub(super) struct Listening {
    pub(super) ticket: Ticket,
    pub(super) index: usize,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    /// Permitted; the log is asked.
    Audit,
    /// Authorised; the log is asked for the message's manifest.
    Manifest(Authorised<Listen>),
    /// Read once to its end, before anything is heard.
    Verifying(Player),
    /// Whole: played when the dialogue says so.
    Whole(Player),
    /// Being heard.
    Playing(Box<Playback>),
}

/// Reads of objects that are under way. A reply that something newer has overtaken is dropped.
#[derive(Default)]
pub(super) struct Reads {
    asked: VecDeque<u64>,
    current: u64,
}

impl Reads {
    /// What was asked before is of no use any more.
    pub(super) fn restart(&mut self) {
        self.current += 1;
    }

    fn is_waiting(&self) -> bool {
        self.asked.back() == Some(&self.current)
    }

    /// Asks for what the player wants next, unless that is under way.
    pub(super) fn ask(&mut self, context: &mut Context<'_>, player: &Player) {
        if self.is_waiting() {
            return;
        }
        if let Some(range) = player.wanted() {
            self.asked.push_back(self.current);
            let key = player.object_key().clone();
            context.outputs.push_back(Output::Object { key, range });
        }
    }

    /// Takes a reply: whether it is still of use.
    pub(super) fn answered(&mut self) -> bool {
        self.asked.pop_front() == Some(self.current)
    }
}

/// A message on its way to the ear.
pub(super) struct Playback {
    player: Player,
    decoder: Decoder,
    /// Samples before this place are read over.
    start: u64,
    /// Set while it is paused: where to go on.
    paused_at: Option<u64>,
    /// Everything was decoded and queued.
    all_queued: bool,
}

/// Whether there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// It goes on.
    On,
    /// All of it has been played.
    Over,
}

impl Playback {
    pub(super) fn new(player: Player) -> Self {
        Self { player, decoder: Decoder::default(), start: 0, paused_at: None, all_queued: false }
    }

    /// Where the ear is, in samples.
    pub(super) fn position(&self, context: &Context<'_>) -> u64 {
        let length = self.player.manifest().samples;
        self.paused_at.unwrap_or_else(|| self.start + context.media.played_samples()).min(length)
    }

    pub(super) fn pause(&mut self, now: Now, context: &mut Context<'_>) {
        if self.paused_at.is_none() {
            self.paused_at = Some(self.position(context));
            context.media.stop(now.monotonic);
        }
    }

    pub(super) fn resume(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        reads: &mut Reads,
    ) -> Result<Fed, Unplayable> {
        match self.paused_at.take() {
            Some(place) => self.go_to(now, context, reads, place),
            None => Ok(Fed::On),
        }
    }

    pub(super) fn skip(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        reads: &mut Reads,
        skip: Skip,
    ) -> Result<Fed, Unplayable> {
        let (step, length) = (duration_to_samples(SKIP), self.player.manifest().samples);
        let position = self.position(context);
        self.paused_at = None;
        let place = match skip {
            Skip::Forward => position.saturating_add(step).min(length),
            Skip::Back => position.saturating_sub(step),
            Skip::Restart => 0,
        };
        self.go_to(now, context, reads, place)
    }

    /// Goes on from a place. Going back reads the object again from its start: opening is quick, and nothing of what
    /// was heard is kept in memory for it.
    pub(super) fn go_to(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        reads: &mut Reads,
        place: u64,
    ) -> Result<Fed, Unplayable> {
        context.media.begin_message(now.monotonic);
        if place < self.decoder.pulled() {
            self.player.rewind();
            self.decoder = Decoder::default();
            reads.restart();
        }
        self.start = place;
        self.all_queued = false;
        self.feed(now, context, reads)
    }

    /// Takes what was read.
    pub(super) fn push(&mut self, bytes: &Bytes) -> Result<(), Unplayable> {
        Ok(self.player.push(bytes)?)
    }

    /// Keeps a little more queued than is heard while the next range is read.
    pub(super) fn feed(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        reads: &mut Reads,
    ) -> Result<Fed, Unplayable> {
        if self.paused_at.is_some() {
            return Ok(Fed::On);
        }
        while !self.all_queued && context.media.leg.queued() < PLAYBACK_AHEAD {
            let place = self.decoder.pulled();
            let mut samples = self.decoder.pull();
            if !samples.is_empty() {
                let over = self.start.saturating_sub(place);
                let over = usize::try_from(over).unwrap_or(usize::MAX).min(samples.len());
                samples.drain(..over);
                if !samples.is_empty() {
                    context.media.play_samples(now.monotonic, samples);
                }
                continue;
            }
            match self.player.next_frames()? {
                Some(frames) => self.decoder.push(&frames)?,
                None if self.player.finished() => {
                    // What was held back for order comes out now; with nothing left, all is queued.
                    self.decoder.finish();
                    let place = self.decoder.pulled();
                    self.all_queued = place >= self.decoder.end();
                }
                None => {
                    reads.ask(context, &self.player);
                    break;
                }
            }
        }
        if self.all_queued && context.media.leg.queued().is_zero() {
            return Ok(Fed::Over);
        }
        Ok(Fed::On)
    }

    /// For the log: how far it was heard.
    pub(super) fn position_ms(&self, context: &Context<'_>) -> u64 {
        let heard = samples_to_duration(self.position(context));
        u64::try_from(heard.as_millis()).unwrap_or(u64::MAX)
    }
}
