//! What a person may do with a mailbox and its messages: each asked of policy and written down first.

use hushbox_audit::{AuditRequest, EventName, Outcome};
use hushbox_policy::{
    Delete, EitherProfile, MessageRef, Now, OpenMailbox as Open, Permit, Save, Undelete,
};

use super::super::{AuditWait, Context, Output};
use super::{RetrievalCall, SaveKind};
use crate::tui::menu;

impl RetrievalCall {
    /// Asks policy about a message of the open mailbox.
    pub(super) fn permit<A: EitherProfile<Object = MessageRef>>(
        &self,
        now: Now,
        context: &Context<'_>,
        index: usize,
    ) -> Option<Permit<A>> {
        let (row, who) = (self.rows.get(index)?, self.person?);
        self.source?
            .permit(now, context.directory, who, row.mailbox, Some(row.facts()), row.message_ref())
            .ok()
    }

    pub(super) fn ask(
        &mut self,
        context: &mut Context<'_>,
        wait: AuditWait,
        request: AuditRequest,
    ) {
        context.audits.push_back(wait);
        context.outputs.push_back(Output::Audit(request));
    }

    pub(super) fn open(&mut self, now: Now, context: &mut Context<'_>, choice: usize) {
        let permit = self.choices.get(choice).copied().and_then(|mailbox| {
            self.mailbox = Some(mailbox);
            let (source, who) = (self.source?, self.person?);
            source.permit::<Open>(now, context.directory, who, mailbox, None, mailbox).ok()
        });
        match permit {
            Some(permit) => self.ask(context, AuditWait::Open, permit.into()),
            None => {
                self.event(context, EventName::AccessRefused, Outcome::Refused);
                self.menu_input(now, context, menu::Input::Opened(None));
            }
        }
    }

    pub(super) fn save(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        index: usize,
        kind: SaveKind,
    ) {
        match self.permit::<Save>(now, context, index) {
            Some(permit) => self.ask(context, AuditWait::Save(kind), permit.into()),
            None => self.refused(now, context, kind == SaveKind::Saved),
        }
    }

    pub(super) fn delete(&mut self, now: Now, context: &mut Context<'_>, index: usize) {
        match self.permit::<Delete>(now, context, index) {
            Some(permit) => self.ask(context, AuditWait::Delete(index), permit.into()),
            None => self.refused(now, context, true),
        }
    }

    pub(super) fn undelete(&mut self, now: Now, context: &mut Context<'_>, index: usize) {
        match self.permit::<Undelete>(now, context, index) {
            Some(permit) => self.ask(context, AuditWait::Undelete(index), permit.into()),
            None => self.refused(now, context, true),
        }
    }

    pub(super) fn refused(&mut self, now: Now, context: &mut Context<'_>, awaited: bool) {
        self.event(context, EventName::AccessRefused, Outcome::Refused);
        if awaited {
            self.menu_input(now, context, menu::Input::Done(false));
        }
    }
}
