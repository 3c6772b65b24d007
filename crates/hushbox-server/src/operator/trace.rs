//! `trace`: the SIP messages of a call, reduced. Who looked is written down first, as for any listing.

use hushbox_audit::{AuditError, AuditReply, Event, EventExtra, EventName, Who};

use super::{Operator, OperatorError, Replies, send};
use crate::control::Reply;

impl Operator {
    pub(super) async fn trace(
        &self,
        uid: u32,
        call: Option<&str>,
        replies: &Replies,
    ) -> Result<(), OperatorError> {
        let mut event = Event::new(EventName::CallTrace, Who::Operator { uid });
        event.uid = Some(uid);
        event.call = call.and_then(|name| self.services.trace.call(name));
        let AuditReply::Event =
            self.services.audit.write(event.into(), EventExtra::default()).await?
        else {
            return Err(AuditError::Unavailable.into());
        };
        let rows = match call {
            Some(name) => self.services.trace.messages(name).ok_or_else(|| {
                OperatorError::Unknown(format!(
                    "no call {name:?} among the last ones: `hushbox trace` lists them"
                ))
            })?,
            None => self.services.trace.list(),
        };
        for row in rows {
            send(replies, Reply::Row(row)).await?;
        }
        Ok(())
    }
}
