//! The directory of one moment: every account, mailbox, person, grant, device, trunk and node, checked, and the
//! look-ups that calls need. A change makes a new one; who holds the old one sees no half of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hushbox_audit::Hash;
use hushbox_policy::{
    AccountId, Binding, DeviceId, GrantId, MailboxId, NodeId, Number, PersonId, TrunkId,
};
use jiff::Timestamp;

use crate::error::DirectoryError;
use crate::model::{
    Account, CertificateBinding, Device, Entity, Grant, Mailbox, Node, Person, Trunk,
};
use crate::row::{self, DirectoryRow, RowId};
use crate::signing::VerifyingKey;

/// An immutable snapshot. Share it in an `Arc`.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    accounts: BTreeMap<AccountId, Account>,
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    persons: BTreeMap<PersonId, Person>,
    grants: BTreeMap<GrantId, Grant>,
    devices: BTreeMap<DeviceId, Device>,
    trunks: BTreeMap<TrunkId, Trunk>,
    nodes: BTreeMap<NodeId, Node>,
    accounts_by_name: BTreeMap<String, AccountId>,
    accounts_by_domain: BTreeMap<String, AccountId>,
    mailboxes_by_number: BTreeMap<(Number, AccountId), MailboxId>,
    persons_by_number: BTreeMap<(Number, AccountId), PersonId>,
    devices_by_username: BTreeMap<String, DeviceId>,
    trunks_by_address: BTreeMap<IpAddr, TrunkId>,
    grants_by_person: BTreeMap<PersonId, BTreeSet<GrantId>>,
    grants_by_mailbox: BTreeMap<MailboxId, BTreeSet<GrantId>>,
    certificates_by_key: BTreeMap<[u8; 32], CertificateOwner>,
    certificates_by_name: BTreeMap<String, Vec<NamedCertificate>>,
    hash: Option<Hash>,
}

/// Whose certificate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CertificateOwner {
    /// A device's.
    Device(DeviceId),
    /// A trunk's.
    Trunk(TrunkId),
}

/// A certificate that is recognised by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedCertificate {
    /// Whose it is.
    pub owner: CertificateOwner,
    /// SHA-256 of the authority that must have signed it; none: any that is configured.
    pub authority: Option<[u8; 32]>,
}

impl CertificateOwner {
    fn row(self) -> RowId {
        match self {
            CertificateOwner::Device(id) => RowId { kind: row::RowKind::Device, id: id.as_uuid() },
            CertificateOwner::Trunk(id) => RowId { kind: row::RowKind::Trunk, id: id.as_uuid() },
        }
    }
}

impl Directory {
    /// Builds a snapshot from stored rows: every signature is checked, then every rule. All that is wrong is answered,
    /// each with the row that it is wrong in.
    pub fn build(
        rows: &[DirectoryRow],
        key: &VerifyingKey,
    ) -> Result<Directory, Vec<DirectoryError>> {
        let mut entities = Vec::with_capacity(rows.len());
        let mut errors = Vec::new();
        for row in rows {
            match row.verify(key) {
                Ok(entity) => entities.push(entity),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut directory = Directory::of(entities)?;
        directory.hash = Some(row::hash_of(rows));
        Ok(directory)
    }

    /// Builds a snapshot from entities that have no signature yet, to check a change before it is signed and stored.
    pub fn of(
        entities: impl IntoIterator<Item = Entity>,
    ) -> Result<Directory, Vec<DirectoryError>> {
        let mut building = Building::default();
        for entity in entities {
            building.insert(entity);
        }
        building.finish()
    }

    /// The hash of the rows that it was built from; none if it was not built from rows.
    pub fn hash(&self) -> Option<Hash> {
        self.hash
    }

    /// The entities, each kind by id: with a change among them they make the next directory.
    pub fn entities(&self) -> impl Iterator<Item = Entity> + '_ {
        let accounts = self.accounts.values().cloned().map(Entity::Account);
        let mailboxes = self.mailboxes.values().cloned().map(Entity::Mailbox);
        let persons = self.persons.values().cloned().map(Entity::Person);
        let grants = self.grants.values().cloned().map(Entity::Grant);
        let devices = self.devices.values().cloned().map(Entity::Device);
        let trunks = self.trunks.values().cloned().map(Entity::Trunk);
        let nodes = self.nodes.values().cloned().map(Entity::Node);
        accounts
            .chain(mailboxes)
            .chain(persons)
            .chain(grants)
            .chain(devices)
            .chain(trunks)
            .chain(nodes)
    }

    /// That account.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// Every account.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// The account of that name.
    pub fn account_by_name(&self, name: &str) -> Option<&Account> {
        self.accounts.get(self.accounts_by_name.get(name)?)
    }

    /// The account of that domain, in any case of letters.
    pub fn account_by_domain(&self, domain: &str) -> Option<&Account> {
        self.accounts.get(self.accounts_by_domain.get(&domain.to_ascii_lowercase())?)
    }

    /// That mailbox.
    pub fn mailbox(&self, id: MailboxId) -> Option<&Mailbox> {
        self.mailboxes.get(&id)
    }

    /// Every mailbox.
    pub fn mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        self.mailboxes.values()
    }

    /// The mailbox of that number among these accounts. For the accounts of one trunk there is at most one.
    pub fn mailbox_by_number(&self, number: &Number, among: &[AccountId]) -> Option<&Mailbox> {
        let id = among
            .iter()
            .find_map(|account| self.mailboxes_by_number.get(&(number.clone(), *account)))?;
        self.mailboxes.get(id)
    }

    /// That person.
    pub fn person(&self, id: PersonId) -> Option<&Person> {
        self.persons.get(&id)
    }

    /// Every person.
    pub fn persons(&self) -> impl Iterator<Item = &Person> {
        self.persons.values()
    }

    /// The person of that number among these accounts, disabled ones too.
    pub fn person_by_number(&self, number: &Number, among: &[AccountId]) -> Option<&Person> {
        let id = among
            .iter()
            .find_map(|account| self.persons_by_number.get(&(number.clone(), *account)))?;
        self.persons.get(id)
    }

    /// That grant.
    pub fn grant(&self, id: GrantId) -> Option<&Grant> {
        self.grants.get(&id)
    }

    /// The grants of a person that hold at that moment.
    pub fn grants_of(&self, person: PersonId, utc: Timestamp) -> impl Iterator<Item = &Grant> {
        let ids = self.grants_by_person.get(&person).into_iter().flatten();
        ids.filter_map(|id| self.grants.get(id)).filter(move |grant| grant.holds_at(utc))
    }

    /// Every grant on a mailbox, whether it holds or not.
    pub fn grants_on(&self, mailbox: MailboxId) -> impl Iterator<Item = &Grant> {
        let ids = self.grants_by_mailbox.get(&mailbox).into_iter().flatten();
        ids.filter_map(|id| self.grants.get(id))
    }

    /// That device.
    pub fn device(&self, id: DeviceId) -> Option<&Device> {
        self.devices.get(&id)
    }

    /// Every device.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    /// The device of that digest user name.
    pub fn device_by_username(&self, username: &str) -> Option<&Device> {
        self.devices.get(self.devices_by_username.get(username)?)
    }

    /// That trunk.
    pub fn trunk(&self, id: TrunkId) -> Option<&Trunk> {
        self.trunks.get(&id)
    }

    /// Every trunk.
    pub fn trunks(&self) -> impl Iterator<Item = &Trunk> {
        self.trunks.values()
    }

    /// The trunk that an address is on a `lab` listener.
    pub fn trunk_by_lab_address(&self, address: IpAddr) -> Option<&Trunk> {
        self.trunks.get(self.trunks_by_address.get(&address.to_canonical())?)
    }

    /// Whose key this is (SHA-256 of the SubjectPublicKeyInfo).
    pub fn certificate_by_key(&self, key_hash: &[u8; 32]) -> Option<CertificateOwner> {
        self.certificates_by_key.get(key_hash).copied()
    }

    /// Whose name this is, each with the authority that must have signed the certificate.
    pub fn certificates_by_name(&self, name: &str) -> &[NamedCertificate] {
        self.certificates_by_name.get(&name_key(name)).map_or(&[], Vec::as_slice)
    }

    /// That node.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// Every node.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }
}

/// RFC 3261 §19.1.4: the host of a URI and a DNS name compare without case, the user part with it.
fn name_key(name: &str) -> String {
    match name.split_once('@') {
        Some((user, host)) => format!("{user}@{}", host.to_ascii_lowercase()),
        None => name.to_ascii_lowercase(),
    }
}

/// A directory whose rules are not checked yet.
#[derive(Default)]
struct Building {
    directory: Directory,
    errors: Vec<DirectoryError>,
}

impl Building {
    fn insert(&mut self, entity: Entity) {
        let row = entity.row();
        let directory = &mut self.directory;
        let there_before = match entity {
            Entity::Account(account) => directory.accounts.insert(account.id, account).is_some(),
            Entity::Mailbox(mailbox) => directory.mailboxes.insert(mailbox.id, mailbox).is_some(),
            Entity::Person(person) => directory.persons.insert(person.id, person).is_some(),
            Entity::Grant(grant) => directory.grants.insert(grant.id, grant).is_some(),
            Entity::Device(device) => directory.devices.insert(device.id, device).is_some(),
            Entity::Trunk(trunk) => directory.trunks.insert(trunk.id, trunk).is_some(),
            Entity::Node(node) => directory.nodes.insert(node.id, node).is_some(),
        };
        if there_before {
            self.errors.push(DirectoryError::Twice { row });
        }
    }

    fn finish(mut self) -> Result<Directory, Vec<DirectoryError>> {
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
        let row = RowId { kind: row::RowKind::Mailbox, id: mailbox.id.as_uuid() };
        if !source.accounts.contains_key(&mailbox.account) {
            self.missing(row, "account", mailbox.account);
        }
        if mailbox.epoch == 0 {
            self.errors.push(DirectoryError::Invalid { row, what: "its epoch is 0" });
        }
        let key = (mailbox.number.clone(), mailbox.account);
        if let Some(other) = self.directory.mailboxes_by_number.insert(key, mailbox.id) {
            self.taken(row, RowId { id: other.as_uuid(), ..row }, "number", &mailbox.number);
        }
    }

    fn person(&mut self, source: &Directory, person: &Person) {
        let row = RowId { kind: row::RowKind::Person, id: person.id.as_uuid() };
        if !source.accounts.contains_key(&person.account) {
            self.missing(row, "account", person.account);
        }
        let key = (person.number.clone(), person.account);
        if let Some(other) = self.directory.persons_by_number.insert(key, person.id) {
            self.taken(row, RowId { id: other.as_uuid(), ..row }, "number", &person.number);
        }
    }

    fn grant(&mut self, source: &Directory, grant: &Grant) {
        let row = RowId { kind: row::RowKind::Grant, id: grant.id.as_uuid() };
        match (source.mailboxes.get(&grant.mailbox), source.persons.get(&grant.person)) {
            (Some(mailbox), Some(person)) if mailbox.account != person.account => {
                self.errors.push(DirectoryError::Invalid {
                    row,
                    what: "its mailbox and person are of two accounts",
                });
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
        let row = RowId { kind: row::RowKind::Device, id: device.id.as_uuid() };
        if !source.accounts.contains_key(&device.account) {
            self.missing(row, "account", device.account);
        }
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
        if let Some(other) =
            self.directory.devices_by_username.insert(device.username.clone(), device.id)
        {
            self.taken(row, RowId { id: other.as_uuid(), ..row }, "user name", &device.username);
        }
        if let Some(binding) = &device.certificate {
            self.certificate(CertificateOwner::Device(device.id), binding);
        }
    }

    fn trunk(&mut self, source: &Directory, trunk: &Trunk) {
        let row = RowId { kind: row::RowKind::Trunk, id: trunk.id.as_uuid() };
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
        self.numbers_among(source, trunk, row);
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
                        number: mailbox.number.clone(),
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
                        number: person.number.clone(),
                        one: Entity::Person(other.clone()).row(),
                        other: Entity::Person(person.clone()).row(),
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
                let same = known.iter().find(|other| other.authority == *authority);
                let same = same.map(|other| other.owner);
                known.push(NamedCertificate { owner, authority: *authority });
                if let Some(other) = same {
                    self.taken(owner.row(), other.row(), "certificate name", name);
                }
            }
        }
    }
}
