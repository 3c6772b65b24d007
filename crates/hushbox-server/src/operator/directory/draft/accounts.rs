//! Accounts with their keys, and mailboxes with theirs.

use hushbox_policy::{AccountId, MailboxId, Number, Profile, RecordKind, Role, SYSTEM_ACCOUNT};
use hushbox_store::directory::Edit;
use hushbox_store::hpke;
use hushbox_store::keys::AccountKey;
use hushbox_store::model::{Account, BaaRecord, Entity, Mailbox, MailboxPurpose};
use zeroize::Zeroizing;

use super::{Draft, Drafted, Drafter, Verb, host, needed, new_id, unknown, word};
use crate::control::directory::AccountFields;
use crate::random;
use crate::trial_folder::time_zone;

/// The epoch of a new mailbox's key.
const FIRST_EPOCH: u32 = 1;

impl Drafter<'_> {
    /// A new account comes with a security-admin: without one nobody could make its first person.
    pub(super) fn account(
        &self,
        fields: AccountFields,
        add: bool,
        draft: &mut Draft,
    ) -> Drafted<()> {
        let known = self.directory.account_by_name(&fields.name);
        let mut account = match self.verb(add, known, RecordKind::Account, &fields.name)? {
            Verb::Set(account) => account.clone(),
            Verb::Add => {
                needed(fields.admin.as_deref(), "--admin")?;
                self.new_account(&fields)?
            }
        };
        if let Some(profile) = fields.profile {
            account.profile = profile;
        }
        if let Some(domain) = fields.domain.as_deref() {
            account.domain = host(domain, "--domain")?;
        }
        if let Some(text) = fields.baa {
            account.baa = Some(BaaRecord { text, recorded_at: self.now });
        }
        let id = account.id;
        draft.edits.push(Edit::put(Entity::Account(account)));
        if let Some(admin) = fields.admin {
            let number =
                Number::new(&admin).map_err(|error| unknown(format!("--admin: {error}")))?;
            if self.directory.person_by_number(&number, &[id]).is_some() {
                return Err(unknown(format!("person {:?} is there already", admin)));
            }
            let mut person = self.new_person(id, number, draft);
            person.roles = [Role::SecurityAdmin].into();
            draft.edits.push(Edit::put(Entity::Person(person)));
        }
        Ok(())
    }

    fn new_account(&self, fields: &AccountFields) -> Drafted<Account> {
        let name = word(&fields.name, "NAME")?;
        if name == SYSTEM_ACCOUNT {
            return Err(unknown("the account system is built in".to_owned()));
        }
        let id = new_id!(AccountId, self.now);
        let key = AccountKey::from_bytes(&Zeroizing::new(random::bytes()));
        Ok(Account {
            id,
            name,
            profile: Profile::default(),
            domain: host(needed(fields.domain.as_deref(), "--domain")?, "--domain")?,
            wrapped_key: self.keys.root.wrap_account_key(id, &key, random::bytes())?,
            baa: None,
        })
    }

    pub(super) fn new_mailbox(&self, account: &Account, number: Number) -> Drafted<Mailbox> {
        let id = new_id!(MailboxId, self.now);
        let (public_key, private_key) = hpke::generate_mailbox_keys()?;
        let account_key = self.keys.root.unwrap_account_key(account.id, &account.wrapped_key)?;
        let wrapped_private_key = account_key.wrap_mailbox_key(
            account.id,
            id,
            FIRST_EPOCH,
            &private_key,
            random::bytes(),
        )?;
        Ok(Mailbox {
            id,
            account: account.id,
            number,
            time_zone: time_zone(),
            epoch: FIRST_EPOCH,
            public_key,
            wrapped_private_key,
            purpose: MailboxPurpose::Normal,
        })
    }
}
