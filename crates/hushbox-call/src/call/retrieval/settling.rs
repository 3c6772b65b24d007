//! What is still to be done after the call, and what is told to the log besides permits.

use hushbox_audit::{AuditRequest, Event as AuditEvent, EventName, Outcome, Who};
use hushbox_policy::Now;
use hushbox_store::{IndexRequest, StateChange};

use super::super::{AuditWait, Context, Output};
use super::{IndexWait, RetrievalCall, Settling};
use crate::EndReason;

impl RetrievalCall {
    /// After the call: what was asked for is answered, marks are applied, the end is written down. True when nothing
    /// is left to wait for.
    pub(in crate::call) fn settle(&mut self, now: Now, context: &mut Context<'_>) -> bool {
        loop {
            let waiting = !context.audits.is_empty() || !self.index_waits.is_empty();
            match self.settling {
                Settling::Answers => {
                    self.stop_playing(now, context);
                    // Events that were written on the way out are waited for with the rest.
                    let waiting = !context.audits.is_empty() || !self.index_waits.is_empty();
                    if waiting {
                        return false;
                    }
                    for (_, authorised) in std::mem::take(&mut self.marks) {
                        self.index_waits.push_back(IndexWait::Unawaited);
                        let change = StateChange::deleted(authorised);
                        context.outputs.push_back(Output::Index(IndexRequest::ChangeState(change)));
                    }
                    if self.open.take().is_some() {
                        self.session_end(context);
                    }
                    self.settling = Settling::Marks;
                }
                Settling::Marks if waiting => return false,
                Settling::Marks => self.settling = Settling::Done,
                Settling::Done => return true,
            }
        }
    }

    /// Nobody answered for a minute: what was not applied is told to whoever reads the log.
    pub(in crate::call) fn give_up(&mut self) {
        self.lost_changes += self.marks.len() + self.index_waits.len();
        self.settling = Settling::Done;
    }

    pub(super) fn session_end(&mut self, context: &mut Context<'_>) {
        let reason = self.over.map_or("unknown", EndReason::as_str);
        let mut event = self.session_event(context, EventName::SessionEnd);
        event.detail = event.detail.with("reason", reason);
        context.audit(event);
    }

    pub(super) fn event(&mut self, context: &mut Context<'_>, name: EventName, outcome: Outcome) {
        let mut event = self.session_event(context, name);
        event.outcome = outcome;
        context.audit(event);
    }

    /// Writes down what a log-in has come to; `wait` gives the answer to the dialogue when that is durable.
    pub(super) fn decided(
        &mut self,
        context: &mut Context<'_>,
        wait: AuditWait,
        name: EventName,
        outcome: Outcome,
    ) {
        let mut event = self.session_event(context, name);
        event.outcome = outcome;
        self.ask(context, wait, AuditRequest::Event(event));
    }

    pub(super) fn message_event(
        &mut self,
        context: &mut Context<'_>,
        name: EventName,
        outcome: Outcome,
        index: usize,
        heard_ms: Option<u64>,
    ) {
        let mut event = self.session_event(context, name);
        event.outcome = outcome;
        event.message = self.rows.get(index).map(|row| row.id);
        if let Some(heard_ms) = heard_ms {
            event.detail = event.detail.with("heard_ms", heard_ms);
        }
        context.audit(event);
    }

    /// Who could not prove to be a person stays a stranger in the log, with whom they tried to be beside it.
    pub(super) fn session_event(&self, context: &Context<'_>, name: EventName) -> AuditEvent {
        let who = self.person.map_or(Who::Stranger, |(person, _)| Who::Person(person));
        let mut event = AuditEvent::new(name, who);
        if self.person.is_none()
            && let Some(tried) = self.candidate
        {
            event.detail = event.detail.with("person", tried.as_uuid());
        }
        event.session = self.person.map(|(_, session)| session);
        event.device = self.source.map(|source| source.device);
        event.mailbox = self.mailbox;
        event.account = self
            .source
            .and_then(|source| context.directory.device(source.device))
            .map(|device| device.account);
        event.call = Some(context.call);
        event
    }
}
