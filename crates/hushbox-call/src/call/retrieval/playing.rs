//! Listening: permitted, written down, found whole, then heard.

use bytes::Bytes;
use hushbox_audit::{AuditError, Authorised, EventName, Hash, Outcome};
use hushbox_policy::{Listen, Now};
use hushbox_store::ObjectsError;

use super::super::listening::{Fed, Listening, Playback, Reads, Stage};
use super::super::{AuditWait, Context, Output, Unplayable};
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
        audited: Result<Option<Hash>, AuditError>,
    ) {
        let asked = self.manifests.pop_front();
        let Some(mut listening) = self.listening.take() else { return };
        if asked != Some(listening.ticket) {
            self.listening = Some(listening);
            return;
        }
        let opened = match (listening.stage, self.rows.get(listening.index), &self.open) {
            (Stage::Manifest(authorised), Some(row), Some(open)) => audited
                .map_err(|_| Unplayable::Audit)
                .and_then(|audited| Ok(open.open(authorised, row, context.directory, audited)?)),
            _ => Err(Unplayable::NoKey),
        };
        match opened {
            Ok(player) => {
                self.reads.restart();
                self.reads.ask(context, &player);
                listening.stage = Stage::Verifying(player);
                self.listening = Some(listening);
            }
            Err(why) => self.unplayable(now, context, listening.ticket, listening.index, why),
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
        let bytes = match reply {
            Ok(bytes) => bytes,
            Err(error) => {
                self.listening = Some(listening);
                return self.unplayable(now, context, ticket, index, error.into());
            }
        };
        match listening.stage {
            Stage::Verifying(mut player) => {
                if let Err(error) = player.push(&bytes) {
                    return self.unplayable(now, context, ticket, index, error.into());
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
                    Err(why) => self.unplayable(now, context, ticket, index, why),
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
        act: impl FnOnce(&mut Playback, &mut Context<'_>, &mut Reads) -> Result<Fed, Unplayable>,
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
            Err(why) => self.unplayable(now, context, ticket, index, why),
        }
    }

    /// The message is not what was recorded, or not there, or can't be read now: said, written down, passed over. Only
    /// the first two are failures of integrity; where it can't be read the log says that it was not heard after all.
    fn unplayable(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        ticket: Ticket,
        index: usize,
        why: Unplayable,
    ) {
        let was_heard = matches!(&self.listening, Some(Listening { stage: Stage::Playing(_), .. }));
        self.stop_playing(now, context);
        if why.is_damage() {
            self.message_event(context, EventName::IntegrityFailure, Outcome::Failed, index, None);
        } else if !was_heard {
            self.message_event(context, EventName::MsgPlayStop, Outcome::Failed, index, Some(0));
        }
        if let Some(message) = self.rows.get(index).map(|row| row.id) {
            context.outputs.push_back(Output::Unplayable { message, why });
        }
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
