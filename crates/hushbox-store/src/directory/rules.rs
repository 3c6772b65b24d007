//! The directory's rules: what must be unique, what must be there, what must be of one account. They are checked on
//! every change and at every start; each mistake names its row.

use std::collections::{BTreeMap, BTreeSet};

use hushbox_policy::{AccountId, Binding, Number, Profile, SYSTEM_ACCOUNT};

use super::{CertificateOwner, Directory, NamedCertificate, name_key};
use crate::error::DirectoryError;
use crate::keys::DigestUser;
use crate::model::{
    Account, Alias, AliasName, CertificateBinding, Device, Entity, Grant, Kept, Mailbox, Person,
    Trunk,
};
use crate::row::{RowId, RowKind};

/// A directory whose rules are not checked yet.
#[derive(Default)]
pub(super) struct Building {
    directory: Directory,
    rows: BTreeSet<RowId>,
    errors: Vec<DirectoryError>,
}

impl Building {
    pub(super) fn insert(&mut self, entity: Entity) {
        let row = entity.row();
        if !self.rows.insert(row) {
            self.errors.push(DirectoryError::Twice { row });
            return;
        }
        let directory = &mut self.directory;
        match entity {
            Entity::Account(account) => drop(directory.accounts.insert(account.id, account)),
            Entity::Mailbox(mailbox) => drop(directory.mailboxes.insert(mailbox.id, mailbox)),
            Entity::Person(person) => drop(directory.persons.insert(person.id, person)),
            Entity::Grant(grant) => drop(directory.grants.insert(grant.id, grant)),
            Entity::Device(device) => drop(directory.devices.insert(device.id, device)),
            Entity::Trunk(trunk) => drop(directory.trunks.insert(trunk.id, trunk)),
            Entity::Node(node) => drop(directory.nodes.insert(node.id, node)),
            Entity::Alias(alias) => drop(directory.aliases.insert(alias.id, alias)),
            Entity::Removed(tombstone) => drop(directory.removed.insert(row, tombstone)),
        }
    }

    pub(super) fn finish(mut self) -> Result<Directory, Vec<DirectoryError>> {
        let source = self.directory.clone();
        for account in source.accounts.values() {
            self.account(account);
        }
        for mailbox in source.mailboxes.values() {
            self.mailbox(&source, mailbox);
        }
        for person in source.persons.values() {
            self.person(&source, person);
        }
        for grant in source.grants.values() {
            self.grant(&source, grant);
        }
        for device in source.devices.values() {
            self.device(&source, device);
        }
        for alias in source.aliases.values() {
            self.alias(&source, alias);
        }
        for trunk in source.trunks.values() {
            self.trunk(&source, trunk);
        }
        if self.errors.is_empty() { Ok(self.directory) } else { Err(self.errors) }
    }

    fn taken(&mut self, row: RowId, by: RowId, what: &'static str, value: impl ToString) {
        self.errors.push(DirectoryError::Taken { row, by, what, value: value.to_string() });
    }

    fn missing(&mut self, row: RowId, what: &'static str, id: impl ToString) {
        self.errors.push(DirectoryError::Missing { row, what, id: id.to_string() });
    }

    fn invalid(&mut self, row: RowId, what: &'static str) {
        self.errors.push(DirectoryError::Invalid { row, what });
    }

    /// The built-in account holds its security-admins and nothing that a call could reach.
    fn not_of_system(&mut self, source: &Directory, row: RowId, account: AccountId) {
        let of_system = source.accounts.get(&account).is_some_and(|it| it.name == SYSTEM_ACCOUNT);
        if of_system {
            self.invalid(row, "the built-in account system holds persons only");
        }
    }

    fn account(&mut self, account: &Account) {
        let row = Entity::Account(account.clone()).row();
        if let Some(other) =
            self.directory.accounts_by_name.insert(account.name.clone(), account.id)
        {
            self.taken(row, RowId { id: other.as_uuid(), ..row }, "name", &account.name);
        }
        let domain = account.domain.to_ascii_lowercase();
        if let Some(other) = self.directory.accounts_by_domain.insert(domain, account.id) {
            self.taken(row, RowId { id: other.as_uuid(), ..row }, "domain", &account.domain);
        }
    }

    fn mailbox(&mut self, source: &Directory, mailbox: &Mailbox) {
        let row = RowId { kind: RowKind::Mailbox, id: mailbox.id.as_uuid() };
        if !source.accounts.contains_key(&mailbox.account) {
            self.missing(row, "account", mailbox.account);
        }
        self.not_of_system(source, row, mailbox.account);
        if mailbox.epoch == 0 {
            self.errors.push(DirectoryError::Invalid { row, what: "its epoch is 0" });
        }
        let key = (mailbox.number.clone(), mailbox.account);
        if let Some(other) = self.directory.mailboxes_by_number.insert(key, mailbox.id) {
            self.taken(row, RowId { id: other.as_uuid(), ..row }, "number", &mailbox.number);
        }
    }

    fn person(&mut self, source: &Directory, person: &Person) {
        let row = RowId { kind: RowKind::Person, id: person.id.as_uuid() };
        if !source.accounts.contains_key(&person.account) {
            self.missing(row, "account", person.account);
        }
        // What the log says of a number is said of one person, also when that one has gone.
        let before = source.removed.values().find(|tombstone| {
            matches!(&tombstone.kept, Kept::PersonNumber { account, number }
                if *account == person.account && *number == person.number)
        });
        if let Some(before) = before {
            self.taken(row, before.row, "number", &person.number);
        }
        let key = (person.number.clone(), person.account);
        if let Some(other) = self.directory.persons_by_number.insert(key, person.id) {
            self.taken(row, RowId { id: other.as_uuid(), ..row }, "number", &person.number);
        }
    }

    fn grant(&mut self, source: &Directory, grant: &Grant) {
        let row = RowId { kind: RowKind::Grant, id: grant.id.as_uuid() };
        match (source.mailboxes.get(&grant.mailbox), source.persons.get(&grant.person)) {
            (Some(mailbox), Some(person)) if mailbox.account != person.account => {
                self.errors.push(DirectoryError::Invalid {
                    row,
                    what: "its mailbox and person are of two accounts",
                });
            }
            // hipaa-controls 0: who administers cannot listen.
            (Some(_), Some(person)) if person.roles.iter().any(|role| role.is_administrative()) => {
                self.invalid(row, "its person has an administrative role and may hold no mailbox");
            }
            (Some(_), Some(_)) => {}
            (None, _) => self.missing(row, "mailbox", grant.mailbox),
            (_, None) => self.missing(row, "person", grant.person),
        }
        if grant.until.is_some_and(|until| until <= grant.from) {
            self.errors.push(DirectoryError::Invalid { row, what: "it ends before it begins" });
        }
        self.directory.grants_by_person.entry(grant.person).or_default().insert(grant.id);
        self.directory.grants_by_mailbox.entry(grant.mailbox).or_default().insert(grant.id);
    }

    fn device(&mut self, source: &Directory, device: &Device) {
        let row = RowId { kind: RowKind::Device, id: device.id.as_uuid() };
        if !source.accounts.contains_key(&device.account) {
            self.missing(row, "account", device.account);
        }
        self.not_of_system(source, row, device.account);
        let elsewhere = "it is bound outside of its account";
        match &device.bound {
            Binding::Persons(persons) => {
                for person in persons {
                    match source.persons.get(person) {
                        None => self.missing(row, "person", person),
                        Some(person) if person.account != device.account => {
                            self.errors.push(DirectoryError::Invalid { row, what: elsewhere });
                        }
                        Some(_) => {}
                    }
                }
            }
            Binding::Mailbox(mailbox) => match source.mailboxes.get(mailbox) {
                None => self.missing(row, "mailbox", mailbox),
                Some(mailbox) if mailbox.account != device.account => {
                    self.errors.push(DirectoryError::Invalid { row, what: elsewhere });
                }
                Some(_) => {}
            },
        }
        self.digest_user(row, &device.username, DigestUser::Device(device.id));
        if let Some(binding) = &device.certificate {
            self.certificate(CertificateOwner::Device(device.id), binding);
        }
    }

    /// design.md "Who may call": one digest realm a server, on which user names are unique.
    fn digest_user(&mut self, row: RowId, username: &str, user: DigestUser) {
        if let Some(other) = self.directory.digest_users.insert(username.to_owned(), user) {
            let other = match other {
                DigestUser::Device(id) => CertificateOwner::Device(id).row(),
                DigestUser::Trunk(id) => CertificateOwner::Trunk(id).row(),
            };
            self.taken(row, other, "user name", username);
        }
    }

    fn alias(&mut self, source: &Directory, alias: &Alias) {
        let row = RowId { kind: RowKind::Alias, id: alias.id.as_uuid() };
        if !source.accounts.contains_key(&alias.account) {
            self.missing(row, "account", alias.account);
        }
        match source.mailboxes.get(&alias.mailbox) {
            None => self.missing(row, "mailbox", alias.mailbox),
            Some(mailbox) if mailbox.account != alias.account => {
                self.invalid(row, "its mailbox is of another account");
            }
            Some(_) => {}
        }
        let key = (alias.name.clone(), alias.account);
        if let Some(other) = self.directory.aliases_by_name.insert(key, alias.id) {
            self.taken(row, RowId { id: other.as_uuid(), ..row }, "name", &alias.name);
        }
    }

    fn trunk(&mut self, source: &Directory, trunk: &Trunk) {
        let row = RowId { kind: RowKind::Trunk, id: trunk.id.as_uuid() };
        for other in
            source.trunks.values().filter(|other| other.id < trunk.id && other.name == trunk.name)
        {
            self.taken(row, RowId { id: other.id.as_uuid(), ..row }, "name", &trunk.name);
        }
        if trunk.accounts.iter().collect::<BTreeSet<_>>().len() != trunk.accounts.len() {
            self.errors.push(DirectoryError::Invalid { row, what: "it names an account twice" });
        }
        for account in
            trunk.accounts.iter().filter(|account| !source.accounts.contains_key(account))
        {
            self.missing(row, "account", account);
        }
        for account in &trunk.accounts {
            self.not_of_system(source, row, *account);
        }
        self.numbers_among(source, trunk, row);
        self.addressing(source, trunk, row);
        self.unasked(source, trunk, row);
        self.by_digest(trunk, row);
        self.aliases_among(source, trunk, row);
        for address in &trunk.lab_addresses {
            if let Some(other) =
                self.directory.trunks_by_address.insert(address.to_canonical(), trunk.id)
            {
                self.taken(row, RowId { id: other.as_uuid(), ..row }, "lab address", address);
            }
        }
        if let Some(binding) = &trunk.certificate {
            self.certificate(CertificateOwner::Trunk(trunk.id), binding);
        }
    }

    fn addressing(&mut self, source: &Directory, trunk: &Trunk, row: RowId) {
        if let Some(what) = trunk.addressing.mistake() {
            self.errors.push(DirectoryError::Invalid { row, what });
        }
        let Some(catch_all) = trunk.addressing.catch_all else { return };
        match source.mailboxes.get(&catch_all) {
            None => self.missing(row, "catch-all mailbox", catch_all),
            Some(mailbox) if !trunk.accounts.contains(&mailbox.account) => {
                let what = "its catch-all mailbox is of an account that it does not serve";
                self.errors.push(DirectoryError::Invalid { row, what });
            }
            Some(_) => {}
        }
    }

    /// As on `lab` listeners, nothing of a `hipaa` account goes in the clear: not even who has a message.
    fn unasked(&mut self, source: &Directory, trunk: &Trunk, row: RowId) {
        let is_open = trunk.mwi.as_ref().is_some_and(|target| !target.is_encrypted());
        let of_hipaa =
            |id: &AccountId| source.accounts.get(id).is_some_and(|a| a.profile == Profile::Hipaa);
        if is_open && trunk.accounts.iter().any(of_hipaa) {
            self.invalid(row, "it serves a hipaa account: NOTIFYs (--mwi) go to it by TLS only");
        }
    }

    /// A password is the way in of a PBX that has no certificate: for deposits, by TLS, and nothing beside.
    fn by_digest(&mut self, trunk: &Trunk, row: RowId) {
        if !trunk.is_by_digest() {
            return;
        }
        self.digest_user(row, &trunk.name, DigestUser::Trunk(trunk.id));
        if trunk.certificate.is_some() {
            self.invalid(row, "it has a certificate: a password beside it would only be weaker");
        }
        if !trunk.lab_addresses.is_empty() {
            self.invalid(row, "a password proves it by TLS only: it has no lab address");
        }
        if !trunk.addressing.trusted.is_empty() {
            self.invalid(
                row,
                "a password asserts nothing: its Request-URI alone names the mailbox (--trust)",
            );
        }
        if trunk.mwi.is_some() {
            self.invalid(
                row,
                "a password lets it leave messages only: it is told of no lamps (--mwi)",
            );
        }
    }

    /// design.md "Who may call": numbers are unique, each within its kind, among the accounts of every trunk.
    fn numbers_among(&mut self, source: &Directory, trunk: &Trunk, row: RowId) {
        let served: BTreeSet<AccountId> = trunk.accounts.iter().copied().collect();
        let mut mailboxes: BTreeMap<&Number, &Mailbox> = BTreeMap::new();
        for mailbox in source.mailboxes.values().filter(|mailbox| served.contains(&mailbox.account))
        {
            match mailboxes.insert(&mailbox.number, mailbox) {
                Some(other) if other.account != mailbox.account => {
                    self.errors.push(DirectoryError::Ambiguous {
                        row,
                        number: format!("the mailbox number {}", mailbox.number),
                        one: Entity::Mailbox(other.clone()).row(),
                        other: Entity::Mailbox(mailbox.clone()).row(),
                    });
                }
                _ => {}
            }
        }
        let mut persons: BTreeMap<&Number, &Person> = BTreeMap::new();
        for person in source.persons.values().filter(|person| served.contains(&person.account)) {
            match persons.insert(&person.number, person) {
                Some(other) if other.account != person.account => {
                    self.errors.push(DirectoryError::Ambiguous {
                        row,
                        number: format!("the person number {}", person.number),
                        one: Entity::Person(other.clone()).row(),
                        other: Entity::Person(person.clone()).row(),
                    });
                }
                _ => {}
            }
        }
    }

    /// The same for aliases.
    fn aliases_among(&mut self, source: &Directory, trunk: &Trunk, row: RowId) {
        let mut aliases: BTreeMap<&AliasName, &Alias> = BTreeMap::new();
        for alias in source.aliases.values().filter(|a| trunk.accounts.contains(&a.account)) {
            match aliases.insert(&alias.name, alias) {
                Some(other) if other.account != alias.account => {
                    self.errors.push(DirectoryError::Ambiguous {
                        row,
                        number: format!("the alias {}", alias.name),
                        one: Entity::Alias(other.clone()).row(),
                        other: Entity::Alias(alias.clone()).row(),
                    });
                }
                _ => {}
            }
        }
    }

    fn certificate(&mut self, owner: CertificateOwner, binding: &CertificateBinding) {
        match binding {
            CertificateBinding::KeyHash(hash) => {
                if let Some(other) = self.directory.certificates_by_key.insert(*hash, owner) {
                    self.taken(owner.row(), other.row(), "certificate key", hex::encode(hash));
                }
            }
            CertificateBinding::AuthorityAndName { authority, name } => {
                let known = self.directory.certificates_by_name.entry(name_key(name)).or_default();
                // Without an authority, whoever signed: then a certificate can fit both.
                let overlaps = |other: &&NamedCertificate| {
                    authority.is_none()
                        || other.authority.is_none()
                        || other.authority == *authority
                };
                let same = known.iter().find(overlaps);
                let same = same.map(|other| other.owner);
                known.push(NamedCertificate { owner, authority: *authority });
                if let Some(other) = same {
                    self.taken(owner.row(), other.row(), "certificate name", name);
                }
            }
        }
    }
}
