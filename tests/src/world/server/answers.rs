//! What a call asks of PINs, keys, index and objects.

use bytes::Bytes;
use hushbox_call::call::{LogInReply, LogInRequest};
use hushbox_policy::{MailboxId, Now};
use hushbox_store::index::{Counts, IndexReply, IndexRequest};
use hushbox_store::{IndexError, KeyError, KeyReply, KeyRequest, MessageRow, ObjectsError};

use super::Server;

impl Server {
    pub(super) fn log_in(&mut self, now: Now, request: LogInRequest) -> LogInReply {
        match request {
            LogInRequest::Check(attempt) => match self.lockout.check(now, &attempt) {
                Err(locked) if locked.is_spoken() => LogInReply::Locked,
                Ok(()) | Err(_) => LogInReply::Free,
            },
            LogInRequest::Try { attempt, pin, verifier, .. } => {
                if self.lockout.check(now, &attempt).is_err() {
                    return LogInReply::RefusedByLock;
                }
                self.lockout.count(now, &attempt);
                let locks = self.lockout.check(now, &attempt).is_err();
                self.comparisons += 1;
                if verifier.verify(&pin, &self.installation.pepper) {
                    self.lockout.success(now, &attempt);
                    LogInReply::Accepted
                } else if locks {
                    LogInReply::RefusedAndLocked
                } else {
                    LogInReply::Refused
                }
            }
        }
    }

    pub(super) fn key(&self, request: KeyRequest) -> Result<KeyReply, KeyError> {
        hushbox_store::unlock(&self.installation.root, request)
    }

    pub(super) fn index(&mut self, request: IndexRequest) -> Result<IndexReply, IndexError> {
        let rows = &mut self.installation.rows;
        match request {
            IndexRequest::Messages(listing) => {
                let mut found: Vec<MessageRow> = rows
                    .values()
                    .filter(|row| listing.mailbox().is_none_or(|mailbox| mailbox == row.mailbox))
                    .filter(|row| listing.states().contains(&row.state))
                    .cloned()
                    .collect();
                found.sort_by_key(|row| (row.received_at, row.id));
                Ok(IndexReply::Messages(found))
            }
            IndexRequest::ChangeState(change) => {
                let id = change.message().message;
                let row = rows.get_mut(&id).ok_or(IndexError::NoMessage(id))?;
                change.apply(row);
                self.notes.push_back(format!("store   {}", row.state));
                self.changed.insert(row.mailbox);
                Ok(IndexReply::Changed(Box::new(row.clone())))
            }
            IndexRequest::Counts(mailbox) => Ok(IndexReply::Counts(self.count(mailbox))),
            _ => Err(IndexError::Unavailable("a call does not ask this".to_owned())),
        }
    }

    pub(super) fn count(&self, mailbox: MailboxId) -> Counts {
        let mut counts = Counts::default();
        for row in self.installation.rows.values().filter(|row| row.mailbox == mailbox) {
            counts.add(row.state, 1);
        }
        counts
    }

    pub(super) fn object(
        &self,
        key: &hushbox_store::ObjectKey,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes, ObjectsError> {
        if let Some(error) = &self.objects_fail {
            return Err(error.clone());
        }
        let object = self.installation.objects.get(key).ok_or(ObjectsError::NotFound)?;
        let end = usize::try_from(range.end).expect("small").min(object.len());
        let start = usize::try_from(range.start).expect("small").min(end);
        Ok(object.slice(start..end))
    }
}
