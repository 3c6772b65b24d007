//! Commands over the control socket, as the server does them.
//!
//! A listing is one audit record with the caller's uid. Showing a caller and exporting a message need a person: their
//! PIN, compared under the same lock-out as at a telephone, and one record a message.

mod directory;
mod export;
mod listing;
mod mwi;
mod person;
mod resolve;
mod trace;
mod unopened;

use std::sync::Arc;

use hushbox_audit::{AuditError, AuditReply, AuditRequest, EventExtra};
use hushbox_media::recording::FormatError;
use hushbox_policy::{AccountId, Denied, ListMailbox, MailboxId, Number, Reason};
use hushbox_store::{Directory, IndexError, IntegrityError, KeyError, ObjectsError};
use tokio::sync::mpsc;

use crate::control::{Reply, Request};
use crate::directory_writer::DirectoryWriter;
use crate::services::Services;
use crate::signalling::ToSignallingTask;
use crate::trial::Sip;
use crate::{decisions, exceptions};

/// Why a command was not done, as the person who typed it reads it.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Nothing was done, because it could not be written down.
    #[error("the audit log cannot be written: nothing was done")]
    Audit(#[from] AuditError),
    /// The index failed.
    #[error("{0}")]
    Index(#[from] IndexError),
    /// The objects failed.
    #[error("{0}")]
    Objects(#[from] ObjectsError),
    /// A key failed.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The message is not what was recorded.
    #[error("the message is not what was recorded: {0}")]
    Integrity(#[from] IntegrityError),
    /// What was sealed is no recording.
    #[error("the message cannot be decoded: {0}")]
    Frames(#[from] FormatError),
    /// The message is damaged or gone.
    #[error(
        "{0}; no file is left of it. It is in the log and the audit log (integrity.failure); \"A damaged message\" in docs/operations.md says how to put it back from a backup"
    )]
    Damaged(String),
    /// The message can't be read now.
    #[error("{0}; nothing says that the message is damaged: mend that and export it again")]
    Unreadable(String),
    /// Policy says no.
    #[error("refused: {0} (rule {rule})", rule = .0.rule())]
    Denied(#[from] Denied),
    /// Number or PIN wrong: which is not said.
    #[error("that number or PIN was not right")]
    WrongLogin,
    /// Too many wrong tries.
    #[error("too many wrong tries: try again later")]
    Locked,
    /// Too many log-ins at once.
    #[error("too many log-ins at once: try again")]
    Busy,
    /// The server has no root key.
    #[error("this server only records: messages can't be opened now")]
    RecordOnly,
    /// The directory would break its rules.
    #[error("refused, and nothing was changed:\n{0}")]
    Directory(String),
    /// What was typed names nothing.
    #[error("{0}")]
    Unknown(String),
    /// Whoever asked has gone.
    #[error("the command went away")]
    Gone,
}

/// What commands are done with.
#[derive(Clone, Debug)]
pub struct Operator {
    services: Arc<Services>,
    writer: Arc<DirectoryWriter>,
    signalling: mpsc::UnboundedSender<ToSignallingTask>,
    status: Status,
}

/// What `status` answers.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// The addresses that were bound.
    pub sip: Sip,
    /// Whether messages cannot be opened.
    pub record_only: bool,
}

/// Where replies go; the end of the answer is the control task's to say.
pub type Replies = mpsc::Sender<Reply>;

impl Operator {
    /// Over these services.
    pub fn new(
        services: Arc<Services>,
        writer: Arc<DirectoryWriter>,
        signalling: mpsc::UnboundedSender<ToSignallingTask>,
        status: Status,
    ) -> Self {
        Self { services, writer, signalling, status }
    }

    /// Does one command for the user `uid`.
    pub async fn run(
        &self,
        request: Request,
        uid: u32,
        replies: &Replies,
    ) -> Result<(), OperatorError> {
        match request {
            Request::Status => {
                let Status { sip, record_only } = self.status;
                let version = env!("CARGO_PKG_VERSION");
                let weaker = exceptions::of_directory(&self.services.directory());
                let row = serde_json::json!({
                    "version": version, "sip": sip, "record_only": record_only, "exceptions": weaker,
                });
                send(replies, Reply::Row(row)).await
            }
            Request::MailboxList => self.mailbox_list(uid, replies).await,
            Request::MessageList { mailbox, reveal } => {
                self.message_list(uid, mailbox.as_deref(), reveal.as_ref(), replies).await
            }
            Request::Trace { call } => self.trace(uid, call.as_deref(), replies).await,
            Request::MwiExplain { mailbox } => self.mwi_explain(uid, &mailbox, replies).await,
            Request::Resolve(asked) => self.resolve(uid, &asked, replies).await,
            Request::Directory(request) => self.directory(uid, request, replies).await,
            Request::MessageExport { id, by } => self.message_export(uid, &id, &by, replies).await,
        }
    }

    /// Writes a listing down, and says that it may be done.
    async fn listing(
        &self,
        uid: u32,
        mailbox: Option<MailboxId>,
        directory: &Directory,
    ) -> Result<hushbox_audit::Authorised<ListMailbox>, OperatorError> {
        let permit = decisions::list(uid, mailbox, directory, self.services.clock.now())?;
        match self
            .services
            .audit
            .write(AuditRequest::ListMailbox(permit), EventExtra::default())
            .await?
        {
            AuditReply::ListMailbox(authorised) => Ok(authorised),
            _ => Err(AuditError::Unavailable.into()),
        }
    }
}

async fn send(replies: &Replies, reply: Reply) -> Result<(), OperatorError> {
    replies.send(reply).await.map_err(|_| OperatorError::Gone)
}

/// What NUMBER or ACCOUNT/NUMBER names; `find` looks among the accounts that are meant. A number that several accounts
/// have names nothing.
fn numbered<'d, T>(
    text: &str,
    directory: &'d Directory,
    find: impl Fn(&'d Directory, &Number, &[AccountId]) -> Option<T>,
) -> Result<Option<T>, OperatorError> {
    let (account, number) = match text.split_once('/') {
        Some((account, number)) => (Some(account), number),
        None => (None, text),
    };
    let Ok(number) = Number::new(number) else { return Ok(None) };
    let meant = directory.accounts().filter(|a| account.is_none_or(|name| a.name == name));
    let mut found = meant.filter_map(|a| Some((a, find(directory, &number, &[a.id])?)));
    let Some((first, one)) = found.next() else { return Ok(None) };
    match found.next() {
        None => Ok(Some(one)),
        Some((second, _)) => Err(OperatorError::Unknown(format!(
            "{number} is in {} and in {}: say ACCOUNT/{number}",
            first.name, second.name
        ))),
    }
}

fn reason(text: &str) -> Result<Reason, OperatorError> {
    Reason::new(text).map_err(|error| OperatorError::Unknown(format!("--reason: {error}")))
}
