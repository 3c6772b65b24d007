//! The directory of a trial: accounts, mailboxes, persons, grants, devices, a trunk, this node.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hushbox_policy::{
    AccountId, Binding, DeviceId, GrantId, GrantKind, MailboxId, Number, Pepper, PersonId,
    PinVerifier, Profile, Role, SYSTEM_ACCOUNT, TrunkId, pin_rules,
};
use hushbox_store::hpke;
use hushbox_store::keys::{AccountKey, DigestAlgorithm, DigestUser, RootKey, ServiceKey};
use hushbox_store::model::{
    Account, BaaRecord, CertificateBinding, Device, Entity, Grant, Mailbox, MailboxPurpose, Node,
    Person, Trunk,
};
use jiff::Timestamp;

use super::plan::{self, ACCOUNTS, DOCTOR, SYSTEM_ADMIN, SYSTEM_DOMAIN, TRUNK_NAME};
use super::{Certificates, TrialError};
use crate::client_certificates::sha256;
use crate::control::Secret;
use crate::digest_secret::NewPassword;
use crate::{random, trial};

/// The secrets that a directory is made with.
pub(super) struct Secrets<'a> {
    pub(super) root: &'a RootKey,
    pub(super) pepper: &'a Pepper,
    pub(super) service: &'a ServiceKey,
    pub(super) realm: &'a str,
}

/// The rows, and what of them stands in trial.json.
pub(super) struct Made {
    pub(super) entities: Vec<Entity>,
    pub(super) accounts: Vec<trial::Account>,
    pub(super) doctor: trial::Doctor,
}

/// Makes everything.
pub(super) fn make(
    secrets: &Secrets<'_>,
    node: Node,
    now: Timestamp,
    certificates: &Certificates<'_>,
) -> Result<Made, TrialError> {
    let mut maker = Maker {
        secrets,
        now,
        certificates,
        time_zone: time_zone(),
        entities: vec![Entity::Node(node)],
    };
    let mut accounts = Vec::new();
    let mut ids = Vec::new();
    let mut doctor = None;
    for plan in &ACCOUNTS {
        let account = maker.account(plan)?;
        ids.push(account.id);
        let supervisor = maker.staff(account.id, plan.supervisor, Role::Supervisor)?;
        let admin = maker.staff(account.id, plan.admin, Role::SecurityAdmin)?;
        let mut mailboxes = Vec::new();
        for (mailbox, person) in plan.mailboxes {
            let (mailbox, person) =
                maker.mailbox(&account, mailbox, person, MailboxPurpose::Normal)?;
            maker.grant(mailbox.0, supervisor.0, GrantKind::Supervisor);
            mailboxes.push(trial::Mailbox { number: mailbox.1, persons: vec![person] });
        }
        if plan.name == DOCTOR.0 {
            let (mailbox, person) =
                maker.mailbox(&account, DOCTOR.1, DOCTOR.2, MailboxPurpose::Doctor)?;
            let (account, domain) = (plan.name.to_owned(), plan.domain.to_owned());
            doctor = Some(trial::Doctor { account, domain, mailbox: mailbox.1, person });
        }
        accounts.push(trial::Account {
            name: plan.name.to_owned(),
            profile: Some(account.profile.as_str().to_owned()),
            domain: plan.domain.to_owned(),
            mailboxes,
            staff: vec![supervisor.1, admin.1],
        });
    }
    accounts.push(maker.system()?);
    maker.trunk(ids);
    let doctor =
        doctor.ok_or_else(|| TrialError::Data("the plan has no account for doctor".into()))?;
    Ok(Made { entities: maker.entities, accounts, doctor })
}

struct Maker<'a> {
    secrets: &'a Secrets<'a>,
    now: Timestamp,
    certificates: &'a Certificates<'a>,
    time_zone: String,
    entities: Vec<Entity>,
}

/// An account that was made, with the key that its mailboxes' keys are wrapped by.
struct MadeAccount {
    id: AccountId,
    profile: Profile,
    domain: &'static str,
    key: AccountKey,
}

struct MadePerson {
    id: PersonId,
    pin: String,
}

macro_rules! new_id {
    ($id:ident, $now:expr) => {{
        let (unix_ms, random) = random::id_parts($now);
        $id::from_parts(unix_ms, random)
    }};
}

impl Maker<'_> {
    fn account(&mut self, plan: &plan::Account) -> Result<MadeAccount, TrialError> {
        let (id, key) = self.new_account(plan.name, plan.domain, plan.profile)?;
        Ok(MadeAccount { id, profile: plan.profile, domain: plan.domain, key })
    }

    /// The built-in account, with its one security-admin. It is held to more than it can break.
    fn system(&mut self) -> Result<trial::Account, TrialError> {
        let (id, _) = self.new_account(SYSTEM_ACCOUNT, SYSTEM_DOMAIN, Profile::Hipaa)?;
        let (_, admin) = self.staff(id, SYSTEM_ADMIN, Role::SecurityAdmin)?;
        Ok(trial::Account {
            name: SYSTEM_ACCOUNT.to_owned(),
            profile: None,
            domain: SYSTEM_DOMAIN.to_owned(),
            mailboxes: Vec::new(),
            staff: vec![admin],
        })
    }

    fn new_account(
        &mut self,
        name: &str,
        domain: &str,
        profile: Profile,
    ) -> Result<(AccountId, AccountKey), TrialError> {
        let id = new_id!(AccountId, self.now);
        let key = AccountKey::from_bytes(&zeroize::Zeroizing::new(random::bytes()));
        let wrapped_key =
            self.secrets.root.wrap_account_key(id, &key, random::bytes()).map_err(data)?;
        let baa = BaaRecord { text: "self-hosted, trial".to_owned(), recorded_at: self.now };
        self.entities.push(Entity::Account(Account {
            id,
            name: name.to_owned(),
            profile,
            domain: domain.to_owned(),
            wrapped_key,
            baa: Some(baa),
        }));
        Ok((id, key))
    }

    /// A person without a mailbox.
    fn staff(
        &mut self,
        account: AccountId,
        number: &str,
        role: Role,
    ) -> Result<(PersonId, trial::Staff), TrialError> {
        let made = self.person(account, number, [role].into())?;
        let roles = vec![role.as_str().to_owned()];
        let staff = trial::Staff {
            number: number.to_owned(),
            pin: Secret::new(made.pin),
            totp: None,
            roles,
        };
        Ok((made.id, staff))
    }

    /// A mailbox, its one person, the grant between them, and that person's telephone.
    fn mailbox(
        &mut self,
        account: &MadeAccount,
        mailbox: &str,
        person: &str,
        purpose: MailboxPurpose,
    ) -> Result<((MailboxId, String), trial::Person), TrialError> {
        const EPOCH: u32 = 1;
        let id = new_id!(MailboxId, self.now);
        let (public_key, private_key) = hpke::generate_mailbox_keys().map_err(data)?;
        let wrapped_private_key = account
            .key
            .wrap_mailbox_key(account.id, id, EPOCH, &private_key, random::bytes())
            .map_err(data)?;
        self.entities.push(Entity::Mailbox(Mailbox {
            id,
            account: account.id,
            number: number(mailbox)?,
            time_zone: self.time_zone.clone(),
            epoch: EPOCH,
            public_key,
            wrapped_private_key,
            purpose,
        }));
        let made = self.person(account.id, person, [Role::User].into())?;
        self.grant(id, made.id, GrantKind::Owner);
        let device = self.device(account, person, made.id)?;
        let person = trial::Person {
            number: person.to_owned(),
            pin: Secret::new(made.pin),
            device: Some(device),
        };
        Ok(((id, mailbox.to_owned()), person))
    }

    fn person(
        &mut self,
        account: AccountId,
        person: &str,
        roles: BTreeSet<Role>,
    ) -> Result<MadePerson, TrialError> {
        let id = new_id!(PersonId, self.now);
        let number = number(person)?;
        let pin = pin_rules::generate(random::bytes(), std::slice::from_ref(&number));
        let verifier = PinVerifier::make(&pin, self.secrets.pepper, random::bytes());
        let pin = pin.expose().to_owned();
        self.entities.push(Entity::Person(Person {
            id,
            account,
            number,
            verifier,
            roles,
            disabled: false,
        }));
        Ok(MadePerson { id, pin })
    }

    fn grant(&mut self, mailbox: MailboxId, person: PersonId, kind: GrantKind) {
        self.entities.push(Entity::Grant(Grant {
            id: new_id!(GrantId, self.now),
            mailbox,
            person,
            kind,
            from: self.now,
            until: None,
            approver: "quickstart".to_owned(),
            reason: "trial".to_owned(),
        }));
    }

    fn device(
        &mut self,
        account: &MadeAccount,
        person: &str,
        owner: PersonId,
    ) -> Result<trial::Device, TrialError> {
        let id = new_id!(DeviceId, self.now);
        let username = plan::device_of(person);
        let realm = self.secrets.realm;
        let password = NewPassword::make(DigestUser::Device(id), &username, realm);
        let sealed =
            |algorithm| password.seal(self.secrets.service, algorithm).map(Some).map_err(data);
        let digest_sha256 = sealed(DigestAlgorithm::Sha256)?;
        let digest_sha512_256 = sealed(DigestAlgorithm::Sha512_256)?;
        // MD5 is for lab listeners, where accounts of the profile hipaa do not exist.
        let digest_md5 = match account.profile {
            Profile::Standard => sealed(DigestAlgorithm::Md5)?,
            Profile::Hipaa => None,
        };
        let credentials = self.certificates.device(&username, account.domain)?;
        self.entities.push(Entity::Device(Device {
            id,
            account: account.id,
            username: username.clone(),
            bound: Binding::Persons(vec![owner]),
            digest_sha256,
            digest_sha512_256,
            digest_md5,
            certificate: Some(self.named(format!("sip:{username}@{}", account.domain))),
        }));
        let (cert, key) = (credentials.cert, credentials.key);
        let password = Secret::new(password.text.to_string());
        Ok(trial::Device { username, password, realm: realm.to_owned(), cert, key })
    }

    fn trunk(&mut self, accounts: Vec<AccountId>) {
        self.entities.push(Entity::Trunk(Trunk {
            id: new_id!(TrunkId, self.now),
            name: "pbx".to_owned(),
            certificate: Some(self.named(TRUNK_NAME.to_owned())),
            digest_sha256: None,
            accounts,
            lab_addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            addressing: Default::default(),
            calls_max: None,
            mwi: None,
        }));
    }

    fn named(&self, name: String) -> CertificateBinding {
        CertificateBinding::AuthorityAndName {
            authority: Some(sha256(self.certificates.authority_der())),
            name,
        }
    }
}

fn number(text: &str) -> Result<Number, TrialError> {
    Number::new(text).map_err(data)
}

/// The machine's time zone by its name.
pub(crate) fn time_zone() -> String {
    jiff::tz::TimeZone::system().iana_name().unwrap_or("UTC").to_owned()
}

pub(super) fn data(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TrialError {
    TrialError::Data(error.into())
}
