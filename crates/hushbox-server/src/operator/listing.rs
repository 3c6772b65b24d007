//! `mailbox list` and `message list`

use std::collections::{BTreeMap, BTreeSet};

use hushbox_audit::{AuditError, AuditReply, AuditRequest, EventExtra};
use hushbox_policy::{Denied, MessageId};
use hushbox_store::{
    Directory, Envelope, IndexReply, IndexRequest, KeyReply, KeyRequest, Listing, MailboxKeys,
    MessageRow,
};
use serde_json::{Value, json};

use super::person::Proved;
use super::unopened::Unopened;
use super::{Operator, OperatorError, Replies, numbered, reason, send};
use crate::control::{InTheNameOf, Reply};
use crate::decisions;

impl Operator {
    pub(super) async fn mailbox_list(
        &self,
        uid: u32,
        replies: &Replies,
    ) -> Result<(), OperatorError> {
        let directory = self.services.directory();
        let _written = self.listing(uid, None, &directory).await?;
        let mut rows = BTreeMap::new();
        for mailbox in directory.mailboxes() {
            let counts = self
                .services
                .index(IndexRequest::Counts(mailbox.id), |reply| match reply {
                    IndexReply::Counts(counts) => Some(counts),
                    _ => None,
                })
                .await?;
            let account = account_name(&directory, mailbox.account);
            let row = json!({
                "account": account, "number": mailbox.number.as_str(), "time_zone": mailbox.time_zone,
                "new": counts.new, "heard": counts.heard, "quiet": counts.quiet, "deleted": counts.deleted,
            });
            rows.insert((account.to_owned(), mailbox.number.clone()), row);
        }
        for row in rows.into_values() {
            send(replies, Reply::Row(row)).await?;
        }
        Ok(())
    }

    pub(super) async fn message_list(
        &self,
        uid: u32,
        mailbox: Option<&str>,
        reveal: Option<&InTheNameOf>,
        replies: &Replies,
    ) -> Result<(), OperatorError> {
        let directory = self.services.directory();
        let mailbox = match mailbox {
            Some(text) => {
                let found = numbered(text, &directory, Directory::mailbox_by_number)?
                    .map(|mailbox| mailbox.id);
                Some(found.ok_or_else(|| OperatorError::Unknown(format!("no mailbox {text:?}")))?)
            }
            None => None,
        };
        let revealed = match reveal {
            Some(by) => Some((self.prove(by, uid).await?, reason(&by.reason)?)),
            None => None,
        };
        let authorised = self.listing(uid, mailbox, &directory).await?;
        let rows = self
            .services
            .index(IndexRequest::Messages(Listing::authorised(authorised)), |reply| match reply {
                IndexReply::Messages(rows) => Some(rows),
                _ => None,
            })
            .await?;
        // Once a mailbox: a listing may have a hundred messages of each.
        let mut refused = BTreeSet::new();
        for row in rows {
            let mut shown = shown(&row, &directory);
            if let Some((proved, reason)) = &revealed
                && let Some(fields) = shown.as_object_mut()
            {
                let opened = self.caller(proved, reason, &row, &directory).await;
                let (envelope, unopened) = match opened {
                    Ok(envelope) => (Some(envelope), None),
                    // Whose message this person may not see: the row stays without a caller, and is written down.
                    Err(OperatorError::Denied(
                        denied @ (Denied::NoGrant | Denied::OtherAccount),
                    )) => {
                        if refused.insert(row.mailbox) {
                            self.refused_reveal(proved, uid, &row, denied);
                        }
                        (None, None)
                    }
                    Err(OperatorError::Denied(denied)) => {
                        self.refused(proved, uid, &row, denied);
                        return Err(denied.into());
                    }
                    // One bad message does not hide the others.
                    Err(error) => match self.unopened(proved, uid, &row, &error) {
                        Some(why) => (None, Some(why)),
                        None => return Err(error),
                    },
                };
                let number = envelope.as_ref().and_then(|envelope| envelope.caller_number.as_ref());
                let name = envelope.as_ref().and_then(|envelope| envelope.caller_name.as_ref());
                fields.insert(
                    "caller_number".to_owned(),
                    number.map(|number| number.expose()).into(),
                );
                fields.insert("caller_name".to_owned(), name.map(|name| name.expose()).into());
                fields.insert("caller_error".to_owned(), unopened.map(Unopened::as_str).into());
            }
            send(replies, Reply::Row(shown)).await?;
        }
        Ok(())
    }

    /// Who left this message.
    async fn caller(
        &self,
        proved: &Proved,
        reason: &hushbox_policy::Reason,
        row: &MessageRow,
        directory: &Directory,
    ) -> Result<Envelope, OperatorError> {
        let now = self.services.clock.now();
        let permit = decisions::reveal(proved.0, reason, row, directory, now)?;
        let AuditReply::Reveal(authorised) =
            self.services.audit.write(AuditRequest::Reveal(permit), EventExtra::default()).await?
        else {
            return Err(AuditError::Unavailable.into());
        };
        let opening = self.services.opening.as_ref().ok_or(OperatorError::RecordOnly)?;
        let keys = MailboxKeys::in_directory(directory, row.mailbox)
            .ok_or_else(|| OperatorError::Unknown("the message's mailbox is gone".to_owned()))?;
        match opening.keys.run(KeyRequest::Reveal { authorised, keys }).await? {
            KeyReply::Reveal(reveal) => Ok(reveal.open(row)?),
            _ => Err(OperatorError::RecordOnly),
        }
    }

    /// The row of a message that was named by its id.
    pub(super) async fn row_of(&self, id: &str) -> Result<MessageRow, OperatorError> {
        let unknown = || OperatorError::Unknown(format!("no message {id:?}"));
        let message: MessageId = id.parse().map_err(|_| unknown())?;
        let row = self
            .services
            .index(IndexRequest::Message(message), |reply| match reply {
                IndexReply::Message(row) => Some(row),
                _ => None,
            })
            .await?;
        row.map(|row| *row).ok_or_else(unknown)
    }
}

/// A row as it stands unsealed in the index.
fn shown(row: &MessageRow, directory: &Directory) -> Value {
    let mailbox = directory.mailbox(row.mailbox).map_or("", |mailbox| mailbox.number.as_str());
    json!({
        "id": row.id.to_string(),
        "account": account_name(directory, row.account),
        "mailbox": mailbox,
        "received": row.received_at.to_string(),
        "seconds": (row.duration().as_secs_f64() * 1000.0).round() / 1000.0,
        "state": row.state.as_str(),
        "truncated": row.truncated,
    })
}

pub(super) fn account_name(directory: &Directory, account: hushbox_policy::AccountId) -> &str {
    directory.account(account).map_or("", |account| account.name.as_str())
}
