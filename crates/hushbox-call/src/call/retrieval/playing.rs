//! Listening: permitted, written down, found whole, then heard.

use bytes::Bytes;
use hushbox_audit::{Authorised, EventName, Hash, Outcome};
use hushbox_policy::{Listen, Now};
use hushbox_store::ObjectsError;

use super::super::listening::{Broken, Fed, Listening, Playback, Reads, Stage};
use super::super::{AuditWait, Context, Output};
use super::RetrievalCall;
use crate::tui::menu::{self, Ticket};

impl RetrievalCall {
    pub(super) fn listen(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        ticket: Ticket,
        index: usize,
    ) {
        self.reads.restart();
        match self.permit::<Listen>(now, context, index) {
            Some(permit) => {
                self.listening = Some(Listening { ticket, index, stage: Stage::Audit });
                self.ask(context, AuditWait::Listen(ticket), permit.into());
            }
            None => {
                self.event(context, EventName::AccessRefused, Outcome::Refused);
                self.menu_input(now, context, menu::Input::CannotPlay(ticket));
            }
        }
    }

    pub(super) fn authorised(
        &mut self,
        context: &mut Context<'_>,
        ticket: Ticket,
        authorised: Authorised<Listen>,
    ) {
        let Some(listening) = self.listening.as_mut().filter(|l| l.ticket == ticket) else {
            return;
        };
        let Some(row) = self.rows.get(listening.index) else { return };
        listening.stage = Stage::Manifest(authorised);
        self.manifests.push_back(ticket);
        context.outputs.push_back(Output::AuditedManifest { message: row.id, seq: row.audit_seq });
    }

    pub(in crate::call) fn manifest(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        audited: Option<Hash>,
    ) {
        let asked = self.manifests.pop_front();
        let Some(mut listening) = self.listening.take() else { return };
        if asked != Some(listening.ticket) {
            self.listening = Some(listening);
            return;
        }
        let opened = match (listening.stage, self.rows.get(listening.index), &self.open) {
            (Stage::Manifest(authorised), Some(row), Some(open)) => {
                open.open(authorised, row, context.directory, audited).ok()
            }
            _ => None,
        };
        match opened {
            Some(player) => {
                self.reads.restart();
                self.reads.ask(context, &player);
                listening.stage = Stage::Verifying(player);
                self.listening = Some(listening);
            }
            None => self.broken(now, context, listening.ticket, listening.index),
        }
    }

    /// A piece of an object has been read.
    pub(in crate::call) fn object(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        reply: Result<Bytes, ObjectsError>,
    ) {
        if !self.reads.answered() {
            return;
        }
        let Some(mut listening) = self.listening.take() else { return };
        let (ticket, index) = (listening.ticket, listening.index);
        let Ok(bytes) = reply else { return self.broken(now, context, ticket, index) };
        match listening.stage {
            Stage::Verifying(mut player) => {
                if player.push(&bytes).is_err() {
                    return self.broken(now, context, ticket, index);
                }
                if player.verified() {
                    listening.stage = Stage::Whole(player);
                    self.listening = Some(listening);
                    self.menu_input(now, context, menu::Input::Ready(ticket));
                } else {
                    self.reads.ask(context, &player);
                    listening.stage = Stage::Verifying(player);
                    self.listening = Some(listening);
                }
            }
            Stage::Playing(mut playback) => {
                let pushed = playback.push(&bytes);
                listening.stage = Stage::Playing(playback);
                self.listening = Some(listening);
                match pushed {
                    Ok(()) => self.feed(now, context),
                    Err(Broken) => self.broken(now, context, ticket, index),
                }
            }
            stage => {
                listening.stage = stage;
                self.listening = Some(listening);
            }
        }
    }

    pub(super) fn play(&mut self, now: Now, context: &mut Context<'_>, ticket: Ticket) {
        let Some(mut listening) = self.listening.take_if(|l| l.ticket == ticket) else { return };
        if let Stage::Whole(player) = listening.stage {
            listening.stage = Stage::Playing(Box::new(Playback::new(player)));
            self.listening = Some(listening);
            self.playback(now, context, |playback, context, reads| {
                playback.go_to(now, context, reads, 0)
            });
        }
    }

    pub(super) fn feed(&mut self, now: Now, context: &mut Context<'_>) {
        self.playback(now, context, |playback, context, reads| playback.feed(now, context, reads));
    }

    /// Does something with what is being heard, and acts on how that went.
    pub(super) fn playback(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        act: impl FnOnce(&mut Playback, &mut Context<'_>, &mut Reads) -> Result<Fed, Broken>,
    ) {
        let Some(listening) = &mut self.listening else { return };
        let (ticket, index) = (listening.ticket, listening.index);
        let Stage::Playing(playback) = &mut listening.stage else { return };
        match act(playback, context, &mut self.reads) {
            Ok(Fed::On) => {}
            Ok(Fed::Over) => {
                self.stop_playing(now, context);
                self.menu_input(now, context, menu::Input::MessageFinished(ticket));
            }
            Err(Broken) => self.broken(now, context, ticket, index),
        }
    }

    /// The message is not what was recorded, or not there: said, written down, passed over.
    pub(super) fn broken(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        ticket: Ticket,
        index: usize,
    ) {
        self.stop_playing(now, context);
        self.message_event(context, EventName::IntegrityFailure, Outcome::Failed, index, None);
        self.menu_input(now, context, menu::Input::CannotPlay(ticket));
    }

    pub(super) fn stop_playing(&mut self, now: Now, context: &mut Context<'_>) {
        self.reads.restart();
        if let Some(Listening { index, stage: Stage::Playing(playback), .. }) =
            self.listening.take()
        {
            let heard = playback.position_ms(context);
            context.media.stop(now.monotonic);
            self.message_event(context, EventName::MsgPlayStop, Outcome::Done, index, Some(heard));
        }
    }
}
