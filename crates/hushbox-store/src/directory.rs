//! The directory of one moment: every account, mailbox, person, grant, device, trunk, node and alias, checked, and the
//! look-ups that calls need. A change makes a new one; who holds the old one sees no half of it.

mod edit;
mod fields;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hushbox_audit::Hash;
use hushbox_policy::{
    AccountId, AliasId, DeviceId, GrantId, MailboxId, NodeId, Number, PersonId, SYSTEM_ACCOUNT,
    TrunkId,
};
use jiff::Timestamp;

use crate::error::DirectoryError;
use crate::keys::DigestUser;
use crate::model::{
    Account, Alias, AliasName, Device, Entity, Grant, Mailbox, Node, Person, Tombstone, Trunk,
};
use crate::row::{self, DirectoryRow, RowId};
use crate::signing::VerifyingKey;

pub use edit::{Edit, Planned};

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
    aliases: BTreeMap<AliasId, Alias>,
    removed: BTreeMap<RowId, Tombstone>,
    accounts_by_name: BTreeMap<String, AccountId>,
    accounts_by_domain: BTreeMap<String, AccountId>,
    mailboxes_by_number: BTreeMap<(Number, AccountId), MailboxId>,
    persons_by_number: BTreeMap<(Number, AccountId), PersonId>,
    aliases_by_name: BTreeMap<(AliasName, AccountId), AliasId>,
    digest_users: BTreeMap<String, DigestUser>,
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
        let mut building = rules::Building::default();
        for entity in entities {
            building.insert(entity);
        }
        building.finish()
    }

    /// The hash of the rows that it was built from; none if it was not built from rows.
    pub fn hash(&self) -> Option<Hash> {
        self.hash
    }

    /// The entities, each kind by id, then what is left of removed ones: with a change among them they make the next directory.
    pub fn entities(&self) -> impl Iterator<Item = Entity> + '_ {
        let accounts = self.accounts.values().cloned().map(Entity::Account);
        let mailboxes = self.mailboxes.values().cloned().map(Entity::Mailbox);
        let persons = self.persons.values().cloned().map(Entity::Person);
        let grants = self.grants.values().cloned().map(Entity::Grant);
        let devices = self.devices.values().cloned().map(Entity::Device);
        let trunks = self.trunks.values().cloned().map(Entity::Trunk);
        let nodes = self.nodes.values().cloned().map(Entity::Node);
        let aliases = self.aliases.values().cloned().map(Entity::Alias);
        let removed = self.removed.values().cloned().map(Entity::Removed);
        accounts
            .chain(mailboxes)
            .chain(persons)
            .chain(grants)
            .chain(devices)
            .chain(trunks)
            .chain(nodes)
            .chain(aliases)
            .chain(removed)
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

    /// The built-in account whose security-admins change accounts and trunks.
    pub fn system_account(&self) -> Option<&Account> {
        self.account_by_name(SYSTEM_ACCOUNT)
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

    /// The mailbox that an alias reaches among these accounts.
    pub fn mailbox_by_alias(&self, alias: &str, among: &[AccountId]) -> Option<&Mailbox> {
        let name = AliasName::new(alias).ok()?;
        self.mailboxes.get(&self.alias_by_name(&name, among)?.mailbox)
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

    /// Every grant, whether it holds or not.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.values()
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
        match self.digest_users.get(username)? {
            DigestUser::Device(id) => self.devices.get(id),
            DigestUser::Trunk(_) => None,
        }
    }

    /// Who has that digest user name.
    pub fn digest_user(&self, username: &str) -> Option<DigestUser> {
        self.digest_users.get(username).copied()
    }

    /// That trunk.
    pub fn trunk(&self, id: TrunkId) -> Option<&Trunk> {
        self.trunks.get(&id)
    }

    /// Every trunk.
    pub fn trunks(&self) -> impl Iterator<Item = &Trunk> {
        self.trunks.values()
    }

    /// The trunk of that name.
    pub fn trunk_by_name(&self, name: &str) -> Option<&Trunk> {
        self.trunks.values().find(|trunk| trunk.name == name)
    }

    /// The trunk that an address is on a `lab` listener.
    pub fn trunk_by_lab_address(&self, address: IpAddr) -> Option<&Trunk> {
        self.trunks.get(self.trunks_by_address.get(&address.to_canonical())?)
    }

    /// The addresses that are a trunk's on `lab` listeners.
    pub fn lab_addresses(&self) -> BTreeSet<IpAddr> {
        self.trunks_by_address.keys().copied().collect()
    }

    /// Whose key this is (SHA-256 of the SubjectPublicKeyInfo).
    pub fn certificate_by_key(&self, key_hash: &[u8; 32]) -> Option<CertificateOwner> {
        self.certificates_by_key.get(key_hash).copied()
    }

    /// Whose name this is, each with the authority that must have signed the certificate.
    pub fn certificates_by_name(&self, name: &str) -> &[NamedCertificate] {
        self.certificates_by_name.get(&name_key(name)).map_or(&[], Vec::as_slice)
    }

    /// That alias.
    pub fn alias(&self, id: AliasId) -> Option<&Alias> {
        self.aliases.get(&id)
    }

    /// Every alias.
    pub fn aliases(&self) -> impl Iterator<Item = &Alias> {
        self.aliases.values()
    }

    /// The alias of that name among these accounts.
    pub fn alias_by_name(&self, name: &AliasName, among: &[AccountId]) -> Option<&Alias> {
        let id =
            among.iter().find_map(|account| self.aliases_by_name.get(&(name.clone(), *account)))?;
        self.aliases.get(id)
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
