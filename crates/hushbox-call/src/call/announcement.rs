//! A call that hears one sentence, joined to its leg.

use hushbox_media::Event as LegEvent;
use hushbox_policy::Now;

use super::Context;
use super::speaker::Sounding;
use crate::EndReason;
use crate::tui::announcement::{Announcement, Input, Output};

pub(super) struct AnnouncementCall {
    tui: Announcement,
    pub(super) over: Option<EndReason>,
}

impl AnnouncementCall {
    pub(super) fn new(tui: Announcement) -> Self {
        Self { tui, over: None }
    }

    pub(super) fn stage(&self) -> &'static str {
        self.tui.state()
    }

    pub(super) fn deadline(&self) -> Option<std::time::Instant> {
        self.tui.deadline()
    }

    pub(super) fn input(&mut self, now: Now, context: &mut Context<'_>, input: Input) {
        self.tui.handle_input(now.monotonic, input);
        while let Some(output) = self.tui.poll_output() {
            match output {
                Output::Say(words) => context.media.say(now.monotonic, &words),
                Output::HangUp(reason) => self.over = Some(reason),
            }
        }
    }

    pub(super) fn leg_event(&mut self, now: Now, context: &mut Context<'_>, event: &LegEvent) {
        let input = match event {
            LegEvent::PlaybackFinished if context.media.finished() == Sounding::Words => {
                Input::PromptFinished
            }
            LegEvent::HeldTooLong => Input::HungUp(EndReason::HeldTooLong),
            LegEvent::MediaDead => Input::HungUp(EndReason::MediaDead),
            _ => return,
        };
        self.input(now, context, input);
    }
}
