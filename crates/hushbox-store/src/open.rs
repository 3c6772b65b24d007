//! Opening: from an authorised log-in to a mailbox that is open, and from an authorised act to one message's audio or
//! caller.
//!
//! Root and account keys are used in [`unlock_mailbox`] for one unwrap and not kept. An [`OpenMailbox`] holds the
//! mailbox's private key, never gives it out, and wipes it when the log-in ends.
//!
//! An authorisation opens once:
//!
//! ```compile_fail,E0382
//! use hushbox_audit::Authorised;
//! use hushbox_policy::Listen;
//! use hushbox_store::{Directory, MessageRow, OpenMailbox};
//! fn twice(open: &OpenMailbox, listen: Authorised<Listen>, row: &MessageRow, all: &Directory) {
//!     let _ = open.open(listen, row, all, None);
//!     let _ = open.open(listen, row, all, None);
//! }
//! ```
//!
//! and one for something else opens nothing:
//!
//! ```compile_fail,E0308
//! use hushbox_audit::Authorised;
//! use hushbox_policy::Delete;
//! use hushbox_store::{Directory, MessageRow, OpenMailbox};
//! fn other(open: &OpenMailbox, delete: Authorised<Delete>, row: &MessageRow, all: &Directory) {
//!     let _ = open.open(delete, row, all, None);
//! }
//! ```

use std::fmt;

use hushbox_audit::{Authorised, Hash};
use hushbox_policy::{
    AccountId, Export, Listen, MailboxId, MessageRef, OpenMailbox as OpenMailboxAction, Reveal,
};

use crate::directory::Directory;
use crate::envelope::Envelope;
use crate::error::{IntegrityError, KeyError};
use crate::future::BoxFuture;
use crate::hpke;
use crate::keys::{MailboxPrivateKey, MailboxPublicKey, MessageKey, RootKey, WrappedKey};
use crate::manifest::Manifest;
use crate::message::MessageRow;
use crate::model::{Account, Mailbox};
use crate::player::Player;

/// The wrapped keys of one mailbox, as the directory has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxKeys {
    /// The account.
    pub account: AccountId,
    /// The account's key, wrapped by the root key.
    pub wrapped_account_key: WrappedKey,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The epoch of its key.
    pub epoch: u32,
    /// The mailbox's public key.
    pub public_key: MailboxPublicKey,
    /// The mailbox's private key, wrapped by the account's key.
    pub wrapped_private_key: WrappedKey,
}

impl MailboxKeys {
    /// Of a mailbox and its account.
    pub fn of(account: &Account, mailbox: &Mailbox) -> MailboxKeys {
        MailboxKeys {
            account: account.id,
            wrapped_account_key: account.wrapped_key.clone(),
            mailbox: mailbox.id,
            epoch: mailbox.epoch,
            public_key: mailbox.public_key,
            wrapped_private_key: mailbox.wrapped_private_key.clone(),
        }
    }

    /// Of that mailbox in the directory.
    pub fn in_directory(directory: &Directory, mailbox: MailboxId) -> Option<MailboxKeys> {
        let mailbox = directory.mailbox(mailbox)?;
        Some(MailboxKeys::of(directory.account(mailbox.account)?, mailbox))
    }
}

/// What is asked of a key provider.
#[derive(Debug)]
pub enum KeyRequest {
    /// Open a mailbox for a log-in.
    OpenMailbox {
        /// The log-in, permitted and written down.
        authorised: Authorised<OpenMailboxAction>,
        /// The mailbox's wrapped keys.
        keys: MailboxKeys,
    },
    /// Open one message for export.
    Export {
        /// The export, permitted and written down.
        authorised: Authorised<Export>,
        /// The mailbox's wrapped keys.
        keys: MailboxKeys,
    },
    /// Open one message's envelope.
    Reveal {
        /// The reveal, permitted and written down.
        authorised: Authorised<Reveal>,
        /// The mailbox's wrapped keys.
        keys: MailboxKeys,
    },
    /// Say which root key there is, to compare with the data folder's.
    RootKeyId,
}

/// What is answered, one for each request.
#[derive(Debug)]
pub enum KeyReply {
    /// The mailbox is open.
    Mailbox(OpenMailbox),
    /// The message may be exported.
    Export(OpenExport),
    /// The caller may be shown.
    Reveal(OpenReveal),
    /// The root key's id.
    RootKeyId(crate::keys::KeyId),
}

/// Where root keys are: a file on another volume, later a key service.
pub trait KeyProvider: Send + Sync {
    /// Runs one request.
    fn run(&self, request: KeyRequest) -> BoxFuture<'_, Result<KeyReply, KeyError>>;
}

/// What a key provider does with the root key once it has it in hand; the key is the provider's to forget afterwards.
pub fn unlock(root: &RootKey, request: KeyRequest) -> Result<KeyReply, KeyError> {
    match request {
        KeyRequest::OpenMailbox { authorised, keys } => {
            unlock_mailbox(root, authorised, &keys).map(KeyReply::Mailbox)
        }
        KeyRequest::Export { authorised, keys } => {
            let opened = private_key(root, authorised.object().mailbox, &keys)?;
            Ok(KeyReply::Export(OpenExport { opened, authorised }))
        }
        KeyRequest::Reveal { authorised, keys } => {
            let opened = private_key(root, authorised.object().mailbox, &keys)?;
            Ok(KeyReply::Reveal(OpenReveal { opened, authorised }))
        }
        KeyRequest::RootKeyId => Ok(KeyReply::RootKeyId(root.id())),
    }
}

/// Opens the mailbox that was authorised and no other.
pub fn unlock_mailbox(
    root: &RootKey,
    authorised: Authorised<OpenMailboxAction>,
    keys: &MailboxKeys,
) -> Result<OpenMailbox, KeyError> {
    private_key(root, *authorised.object(), keys).map(OpenMailbox)
}

fn private_key(
    root: &RootKey,
    authorised: MailboxId,
    keys: &MailboxKeys,
) -> Result<Opened, KeyError> {
    if authorised != keys.mailbox {
        return Err(KeyError::NotThisMailbox);
    }
    let account_key = root.unwrap_account_key(keys.account, &keys.wrapped_account_key)?;
    let private = account_key.unwrap_mailbox_key(
        keys.account,
        keys.mailbox,
        keys.epoch,
        &keys.wrapped_private_key,
    )?;
    if !hpke::belong_together(&keys.public_key, &private) {
        return Err(KeyError::Mismatch);
    }
    Ok(Opened { account: keys.account, mailbox: keys.mailbox, epoch: keys.epoch, private })
}

/// A mailbox's private key with what it is the key of.
struct Opened {
    account: AccountId,
    mailbox: MailboxId,
    epoch: u32,
    private: MailboxPrivateKey,
}

impl Opened {
    fn check(&self, authorised: &MessageRef, row: &MessageRow) -> Result<(), IntegrityError> {
        if *authorised != row.message_ref() {
            return Err(IntegrityError::NotThisMessage);
        }
        if row.mailbox != self.mailbox || row.account != self.account {
            return Err(IntegrityError::NotThisMailbox);
        }
        if row.epoch != self.epoch {
            return Err(IntegrityError::Epoch(row.epoch));
        }
        Ok(())
    }

    fn message_key(&self, row: &MessageRow) -> Result<MessageKey, IntegrityError> {
        hpke::open_message_key(&self.private, &row.place(), &row.sealed_key)
            .ok_or(IntegrityError::SealedKey)
    }

    fn player(
        &self,
        authorised: &MessageRef,
        row: &MessageRow,
        directory: &Directory,
        audited: Option<Hash>,
    ) -> Result<Player, IntegrityError> {
        self.check(authorised, row)?;
        let manifest = verified_manifest(row, directory, audited)?;
        Ok(Player::new(self.message_key(row)?, manifest, row.object_key.clone()))
    }
}

/// The row's manifest, if a node of this installation signed it, the audit log has its hash, and it is the row's.
pub fn verified_manifest(
    row: &MessageRow,
    directory: &Directory,
    audited: Option<Hash>,
) -> Result<Manifest, IntegrityError> {
    let manifest = Manifest::parse(&row.manifest.bytes).map_err(IntegrityError::Manifest)?;
    let node = directory.node(manifest.node).ok_or(IntegrityError::UnknownNode(manifest.node))?;
    if !row.manifest.verify(&node.public_key) {
        return Err(IntegrityError::Signature);
    }
    if audited != Some(row.manifest.hash()) {
        return Err(IntegrityError::NotInAudit);
    }
    let same = [
        ("message", manifest.message == row.id),
        ("account", manifest.account == row.account),
        ("mailbox", manifest.mailbox == row.mailbox),
        ("profile", manifest.profile == row.profile),
        ("truncated", manifest.truncated == row.truncated),
        ("length", manifest.samples == row.samples && manifest.sample_rate == row.sample_rate),
        ("time", manifest.received_at.as_millisecond() == row.received_at.as_millisecond()),
        ("envelope", manifest.envelope_hash == Hash::of(&row.sealed_envelope)),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(IntegrityError::ManifestMismatch(what)),
        None => Ok(manifest),
    }
}

/// A mailbox that somebody has logged in to. Dropping it forgets the key.
pub struct OpenMailbox(Opened);

impl OpenMailbox {
    /// The mailbox.
    pub fn mailbox(&self) -> MailboxId {
        self.0.mailbox
    }

    /// The account.
    pub fn account(&self) -> AccountId {
        self.0.account
    }

    /// Opens the message that was authorised and no other. `audited` is the manifest's hash as the audit log has it
    /// under [`MessageRow::audit_seq`].
    pub fn open(
        &self,
        authorised: Authorised<Listen>,
        row: &MessageRow,
        directory: &Directory,
        audited: Option<Hash>,
    ) -> Result<Player, IntegrityError> {
        self.0.player(authorised.object(), row, directory, audited)
    }
}

impl fmt::Debug for OpenMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenMailbox({})", self.0.mailbox)
    }
}

/// One message that may be exported: it opens that one and is used up.
pub struct OpenExport {
    opened: Opened,
    authorised: Authorised<Export>,
}

impl OpenExport {
    /// Opens the message's audio.
    pub fn open(
        self,
        row: &MessageRow,
        directory: &Directory,
        audited: Option<Hash>,
    ) -> Result<Player, IntegrityError> {
        self.opened.player(self.authorised.object(), row, directory, audited)
    }
}

impl fmt::Debug for OpenExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenExport({})", self.opened.mailbox)
    }
}

/// One message whose caller may be shown: it opens that one and is used up.
pub struct OpenReveal {
    opened: Opened,
    authorised: Authorised<Reveal>,
}

impl OpenReveal {
    /// Opens the message's envelope.
    pub fn open(self, row: &MessageRow) -> Result<Envelope, IntegrityError> {
        self.opened.check(self.authorised.object(), row)?;
        Envelope::open(&self.opened.private, &row.place(), &row.sealed_envelope)
            .ok_or(IntegrityError::Envelope)
    }
}

impl fmt::Debug for OpenReveal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenReveal({})", self.opened.mailbox)
    }
}
