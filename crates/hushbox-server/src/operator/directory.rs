//! The directory's commands: lists, and changes by security-admins.
//!
//! A change is planned and checked whole, permitted, written down with the directory's hash before and after it, and
//! only then signed and stored: all of its rows or none. Then everybody is told, and whom it concerns is disconnected.

mod draft;
mod names;
mod rows;

use hushbox_audit::{
    AuditError, AuditReply, AuditRequest, Authorised, Event, EventExtra, EventName, Outcome,
};
use hushbox_policy::{ChangeDirectory, Denied, PersonId, Reason, RecordKind, RecordRef};
use hushbox_store::directory::Planned;
use hushbox_store::{Counts, Directory, DirectoryRow, IndexReply, IndexRequest};

use super::{Operator, OperatorError, Replies, reason, send};
use crate::control::directory::{Change, ChangeRequest, DirectoryRequest};
use crate::control::{InTheNameOf, Reply, Secret};
use crate::decisions;
use draft::{Draft, Drafter};

impl Operator {
    pub(super) async fn directory(
        &self,
        uid: u32,
        request: DirectoryRequest,
        replies: &Replies,
    ) -> Result<(), OperatorError> {
        match request {
            DirectoryRequest::List(kind) => self.directory_list(uid, kind, replies).await,
            DirectoryRequest::Change(request) => {
                self.directory_change(uid, *request, replies).await
            }
        }
    }

    async fn directory_list(
        &self,
        uid: u32,
        kind: RecordKind,
        replies: &Replies,
    ) -> Result<(), OperatorError> {
        let permit = decisions::list_directory(uid, kind, self.services.clock.now())?;
        let detail = hushbox_audit::Detail::new().with("kind", kind.as_str());
        let extra = EventExtra { call: None, detail };
        let _written =
            self.services.audit.write(AuditRequest::ListDirectory(permit), extra).await?;
        for row in rows::all(kind, &self.services.directory()) {
            send(replies, Reply::Row(row)).await?;
        }
        Ok(())
    }

    async fn directory_change(
        &self,
        uid: u32,
        request: ChangeRequest,
        replies: &Replies,
    ) -> Result<(), OperatorError> {
        let ChangeRequest { person, pin, reason: why, change } = request;
        let why = why.map(|text| reason(&text)).transpose()?;
        let by = InTheNameOf { person, pin, reason: String::new() };
        let proved = self.prove(&by, uid).await?;
        // Before the change is looked at: what is there is not for everybody to find out.
        decisions::administers(proved.0.person(), &self.services.directory())
            .inspect_err(|denied| self.note_denied(proved.0.person(), uid, None, *denied))?;
        let _turn = self.writer.turn().await;
        let directory = self.services.directory();
        let there = self.stored_directory().await?;

        let removes = matches!(change, Change::Remove { .. });
        let (draft, keys) = self.draft(change, why.clone(), proved.0.person()).await?;
        let planned = directory
            .plan(&there, &draft.edits)
            .map_err(|errors| names::refused(&errors, &directory, &draft.edits))?;
        let record = planned.record();
        let now = self.services.clock.now();
        let permit = decisions::change_directory(proved.0, why.as_ref(), record, &directory, now)
            .inspect_err(|denied| {
            self.note_denied(proved.0.person(), uid, Some(record), *denied)
        })?;
        if removes {
            self.must_be_empty(record).await?;
        }

        let extra = EventExtra { call: None, detail: detail(record, &planned, removes) };
        let written =
            self.services.audit.write(AuditRequest::ChangeDirectory(permit), extra).await?;
        let AuditReply::ChangeDirectory(authorised) = written else {
            return Err(AuditError::Unavailable.into());
        };
        let stored = self.store(planned, authorised, keys).await;
        if let Err(error) = &stored {
            tracing::error!(%error, "a change of the directory was written down and not made");
            let mut event = Event::new(EventName::DirectoryChange, hushbox_audit::Who::System);
            event.outcome = Outcome::Failed;
            event.detail = event.detail.with("id", record.id);
            self.services.audit.note(event);
        }
        // Also after a failure: whatever is stored now is what holds.
        let now_there = self.publish_stored().await?;
        stored?;
        tracing::info!(kind = record.kind.as_str(), id = %record.id, "the directory was changed");
        let shown = if removes { &directory } else { &now_there };
        if let Some(row) = rows::one(record, shown) {
            send(replies, Reply::Row(row)).await?;
        }
        for (name, secret) in draft.secrets {
            send(replies, Reply::Secret { name, secret: Secret::new(secret.to_string()) }).await?;
        }
        Ok(())
    }

    async fn stored_directory(&self) -> Result<Vec<DirectoryRow>, OperatorError> {
        let load = IndexRequest::DirectoryLoad;
        let rows = self.services.index(load, |reply| match reply {
            IndexReply::Directory(rows) => Some(rows),
            _ => None,
        });
        Ok(rows.await?)
    }

    /// Makes what the change puts: new ids, keys, a PIN's verifier. Off the event loop, since Argon2id takes a while.
    async fn draft(
        &self,
        change: Change,
        why: Option<Reason>,
        by: PersonId,
    ) -> Result<(Draft, crate::directory_writer::ChangeKeys), OperatorError> {
        let (writer, directory) = (std::sync::Arc::clone(&self.writer), self.services.directory());
        let now = self.services.clock.now().utc;
        let drafted = tokio::task::spawn_blocking(move || {
            let keys = writer.keys().map_err(|error| OperatorError::Unknown(error.to_string()))?;
            let keys = keys.ok_or(OperatorError::RecordOnly)?;
            let by = directory.person(by).ok_or(Denied::UnknownPerson)?;
            let drafter = Drafter {
                directory: &directory,
                keys: &keys,
                realm: writer.realm(),
                now,
                by,
                reason: why.as_ref(),
            };
            let draft = drafter.draft(change)?;
            Ok((draft, keys))
        });
        drafted.await.map_err(|_| OperatorError::Unknown("the change could not be made".into()))?
    }

    async fn store(
        &self,
        planned: Planned,
        authorised: Authorised<ChangeDirectory>,
        keys: crate::directory_writer::ChangeKeys,
    ) -> Result<(), OperatorError> {
        let before = planned.before();
        let rows = planned.sign(authorised, &keys.directory)?;
        drop(keys);
        self.services.index.run(IndexRequest::DirectoryPut { rows, before }).await?;
        Ok(())
    }

    /// Reads the directory as it is stored, and tells everybody of it.
    async fn publish_stored(&self) -> Result<std::sync::Arc<Directory>, OperatorError> {
        let rows = self.stored_directory().await?;
        let key =
            self.writer.public_key().map_err(|error| OperatorError::Unknown(error.to_string()))?;
        let built = tokio::task::spawn_blocking(move || Directory::build(&rows, &key)).await;
        let built =
            built.map_err(|_| OperatorError::Unknown("the directory could not be read".into()))?;
        self.writer.publish(
            &self.services,
            built.map_err(|errors| names::refused(&errors, &self.services.directory(), &[]))?,
        );
        Ok(self.services.directory())
    }

    /// A mailbox that holds messages stays: they would open to nobody.
    async fn must_be_empty(&self, record: RecordRef) -> Result<(), OperatorError> {
        if record.kind != RecordKind::Mailbox {
            return Ok(());
        }
        let mailbox = hushbox_policy::MailboxId::from_uuid(record.id);
        let counts = self.services.index(IndexRequest::Counts(mailbox), |reply| match reply {
            IndexReply::Counts(counts) => Some(counts),
            _ => None,
        });
        let Counts { new, heard, quiet, deleted } = counts.await?;
        match new + heard + quiet + deleted {
            0 => Ok(()),
            held => Err(OperatorError::Unknown(format!(
                "mailbox {}: it holds {held} messages (a deleted one is destroyed after 14 days)",
                self.services.directory().mailbox(mailbox).map_or("", |m| m.number.as_str()),
            ))),
        }
    }

    fn note_denied(&self, person: PersonId, uid: u32, record: Option<RecordRef>, denied: Denied) {
        let mut event = Event::new(EventName::AccessRefused, hushbox_audit::Who::Person(person));
        event.outcome = Outcome::Refused;
        event.uid = Some(uid);
        event.rule = Some(denied.rule().into());
        if let Some(record) = record {
            event.detail = event.detail.with("kind", record.kind.as_str()).with("id", record.id);
        }
        self.services.audit.note(event);
    }
}

/// What the log has of a change: the record, the names of the fields that differ, the directory's hash before and after.
fn detail(record: RecordRef, planned: &Planned, removes: bool) -> hushbox_audit::Detail {
    let detail = planned
        .fields()
        .iter()
        .fold(hushbox_audit::Detail::new(), |detail, field| detail.with(field, true));
    detail
        .with("kind", record.kind.as_str())
        .with("id", record.id)
        .with("removed", removes)
        .with("before", planned.before())
        .with("after", planned.after())
}
