//! What log, keys and index answer.

use hushbox_audit::{AuditError, AuditReply, EventName, Outcome};
use hushbox_policy::Now;
use hushbox_store::{
    IndexError, IndexReply, IndexRequest, KeyError, KeyReply, KeyRequest, Listing, MailboxKeys,
    MessageRow, MessageState, StateChange,
};
use jiff::tz::TimeZone;

use super::super::{AuditWait, Context, Output};
use super::{IndexWait, RetrievalCall, SaveKind};
use crate::limits::MAILBOX_NEARLY_FULL;
use crate::tui::login::{self, LockAnswer, PinAnswer};
use crate::tui::menu::{self, Entry, EntryState, Opened};

impl RetrievalCall {
    /// The log has answered.
    pub(in crate::call) fn audit(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        wait: AuditWait,
        reply: Result<AuditReply, AuditError>,
    ) {
        match (wait, reply) {
            (AuditWait::Event, _) => {}
            // Without a record of the try, right and wrong are answered alike.
            (AuditWait::Lock(answer), reply) => {
                let answer = if reply.is_ok() { answer } else { LockAnswer::Unavailable };
                self.login_input(now, context, login::Input::Lock(answer));
            }
            (AuditWait::Pin(answer), Ok(_)) => {
                self.login_input(now, context, login::Input::Pin(answer));
            }
            (AuditWait::Pin(_), Err(_)) => {
                self.person = None;
                self.login_input(now, context, login::Input::Pin(PinAnswer::Unavailable));
            }
            (AuditWait::Open, Ok(AuditReply::OpenMailbox(authorised))) => {
                match MailboxKeys::in_directory(context.directory, *authorised.object()) {
                    Some(keys) => context
                        .outputs
                        .push_back(Output::Key(KeyRequest::OpenMailbox { authorised, keys })),
                    None => self.menu_input(now, context, menu::Input::Opened(None)),
                }
            }
            (AuditWait::Listen(ticket), Ok(AuditReply::Listen(authorised))) => {
                self.authorised(context, ticket, authorised);
            }
            (AuditWait::Save(kind), Ok(AuditReply::Save(authorised))) => {
                let (wait, change) = match kind {
                    SaveKind::Heard => (IndexWait::Unawaited, StateChange::heard(authorised)),
                    SaveKind::Saved => (IndexWait::Saved, StateChange::saved(authorised)),
                };
                self.index_waits.push_back(wait);
                context.outputs.push_back(Output::Index(IndexRequest::ChangeState(change)));
            }
            (AuditWait::Delete(index), Ok(AuditReply::Delete(authorised))) => {
                self.marks.insert(index, authorised);
                self.menu_input(now, context, menu::Input::Done(true));
            }
            (AuditWait::Undelete(index), Ok(AuditReply::Undelete(_))) => {
                // Marked in this call, so there is nothing to undo in the index.
                self.marks.remove(&index);
                self.menu_input(now, context, menu::Input::Done(true));
            }
            // Not written down, so not done; and nothing more can be.
            (
                AuditWait::Open
                | AuditWait::Listen(_)
                | AuditWait::Save(_)
                | AuditWait::Delete(_)
                | AuditWait::Undelete(_),
                _,
            ) => self.menu_input(now, context, menu::Input::Unavailable),
        }
    }

    pub(in crate::call) fn key(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        reply: Result<KeyReply, KeyError>,
    ) {
        match reply {
            Ok(KeyReply::Mailbox(open)) => {
                let states = [MessageState::New, MessageState::Heard, MessageState::Quiet];
                let listing = Listing::opened(&open, states);
                self.open = Some(open);
                self.index_waits.push_back(IndexWait::Messages);
                context.outputs.push_back(Output::Index(IndexRequest::Messages(listing)));
            }
            Ok(_) | Err(_) => {
                self.event(context, EventName::KeyUnwrapDenied, Outcome::Failed);
                self.menu_input(now, context, menu::Input::Opened(None));
            }
        }
    }

    pub(in crate::call) fn index(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        reply: Result<IndexReply, IndexError>,
    ) {
        match (self.index_waits.pop_front(), reply) {
            (Some(IndexWait::Messages), Ok(IndexReply::Messages(rows))) => {
                self.listed(now, context, rows);
            }
            (Some(IndexWait::Messages), _) => {
                self.menu_input(now, context, menu::Input::Unavailable);
            }
            (Some(IndexWait::Saved), Ok(_)) => {
                self.menu_input(now, context, menu::Input::Done(true));
            }
            (Some(IndexWait::Saved), Err(_)) => {
                self.lost_changes += 1;
                self.menu_input(now, context, menu::Input::Done(false));
            }
            (Some(IndexWait::Unawaited), Err(_)) => self.lost_changes += 1,
            (Some(IndexWait::Unawaited), Ok(_)) | (None, _) => {}
        }
    }

    /// New, then heard, then quiet; each oldest first, as the index gives them.
    fn listed(&mut self, now: Now, context: &mut Context<'_>, mut rows: Vec<MessageRow>) {
        rows.retain(|row| entry_state(row.state).is_some());
        rows.sort_by_key(|row| (entry_state(row.state), row.received_at, row.id));
        let zone = self
            .mailbox
            .and_then(|mailbox| context.directory.mailbox(mailbox))
            .and_then(|mailbox| TimeZone::get(&mailbox.time_zone).ok())
            .unwrap_or(TimeZone::UTC);
        let entries = rows
            .iter()
            .filter_map(|row| {
                Some(Entry {
                    state: entry_state(row.state)?,
                    received: row.received_at.to_zoned(zone.clone()),
                    length: row.duration(),
                    truncated: row.truncated,
                    deleted: false,
                })
            })
            .collect();
        let nearly_full = rows.len() >= MAILBOX_NEARLY_FULL;
        self.rows = rows;
        let opened = Opened { entries, now: now.utc.to_zoned(zone), nearly_full };
        self.menu_input(now, context, menu::Input::Opened(Some(opened)));
    }
}

fn entry_state(state: MessageState) -> Option<EntryState> {
    match state {
        MessageState::New => Some(EntryState::New),
        MessageState::Heard => Some(EntryState::Heard),
        MessageState::Quiet => Some(EntryState::Quiet),
        MessageState::Deleted => None,
    }
}
