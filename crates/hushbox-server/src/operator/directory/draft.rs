//! From what was typed to what would stand in the directory: names resolved, ids and secrets made.
//!
//! Nothing is decided here. Whether the person may, and whether the directory keeps its rules, is asked of policy and
//! store afterwards.

mod accounts;
mod addressing;
mod devices;

use hushbox_call::addressing::RETRIEVAL;
use hushbox_policy::{
    AccountId, AliasId, GrantId, Number, PersonId, PinVerifier, Reason, RecordKind, Role, pin_rules,
};
use hushbox_store::directory::Edit;
use hushbox_store::model::{Account, Alias, AliasName, Entity, Grant, Mailbox, Person};
use hushbox_store::{Directory, RowId};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::super::OperatorError;
use crate::control::directory::{
    AliasFields, Change, Fields, GrantFields, MailboxFields, PersonFields, Until,
};
use crate::digest_secret::NewPassword;
use crate::directory_writer::ChangeKeys;
use crate::random;

/// What a change would put, and the secrets that were made for it: their names, and what is shown once.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) edits: Vec<Edit>,
    pub(super) secrets: Vec<(String, Zeroizing<String>)>,
}

impl Draft {
    /// A password that was made is shown once.
    fn show(&mut self, password: NewPassword<'_>) {
        let NewPassword { username, text, .. } = password;
        self.secrets.push((format!("password of {username}"), text));
    }
}

/// What drafts are made from.
pub(super) struct Drafter<'a> {
    pub(super) directory: &'a Directory,
    pub(super) keys: &'a ChangeKeys,
    pub(super) realm: &'a str,
    pub(super) now: Timestamp,
    /// Who asks.
    pub(super) by: &'a Person,
    pub(super) reason: Option<&'a Reason>,
}

/// A new id, of the type that is wanted.
macro_rules! new_id {
    ($id:ident, $now:expr) => {{
        let (unix_ms, random) = crate::random::id_parts($now);
        $id::from_parts(unix_ms, random)
    }};
}
use new_id;

type Drafted<T> = Result<T, OperatorError>;

/// The record that is meant: a new one, or the one that is changed.
enum Verb<T> {
    Add,
    Set(T),
}

impl Drafter<'_> {
    pub(super) fn draft(&self, change: Change) -> Drafted<Draft> {
        let mut draft = Draft::default();
        match change {
            Change::Add(fields) => self.fields(fields, true, &mut draft)?,
            Change::Set(fields) => self.fields(fields, false, &mut draft)?,
            Change::Remove { kind, name } => {
                let row = self.named(kind, &name)?;
                draft.edits.push(Edit::Remove { row, at: self.now });
            }
        }
        Ok(draft)
    }

    fn fields(&self, fields: Fields, add: bool, draft: &mut Draft) -> Drafted<()> {
        match fields {
            Fields::Account(fields) => self.account(fields, add, draft),
            Fields::Mailbox(fields) => self.mailbox(fields, add, draft),
            Fields::Person(fields) => self.person(fields, add, draft),
            Fields::Grant(fields) => self.grant(fields, add, draft),
            Fields::Device(fields) => self.device(fields, add, draft),
            Fields::Trunk(fields) => self.trunk(fields, add, draft),
            Fields::Alias(fields) => self.alias(fields, add, draft),
        }
    }

    fn mailbox(&self, fields: MailboxFields, add: bool, draft: &mut Draft) -> Drafted<()> {
        let (account, number) = self.place(&fields.number)?;
        let known = self.directory.mailbox_by_number(&number, &[account.id]);
        let mut mailbox = match self.verb(add, known, RecordKind::Mailbox, &fields.number)? {
            Verb::Set(mailbox) => mailbox.clone(),
            Verb::Add => self.new_mailbox(account, number)?,
        };
        if let Some(zone) = fields.time_zone {
            jiff::tz::TimeZone::get(&zone)
                .map_err(|_| unknown(format!("{zone:?} is no time zone: give an IANA name")))?;
            mailbox.time_zone = zone;
        }
        draft.edits.push(Edit::put(Entity::Mailbox(mailbox)));
        Ok(())
    }

    fn person(&self, fields: PersonFields, add: bool, draft: &mut Draft) -> Drafted<()> {
        let (account, number) = self.place(&fields.number)?;
        let known = self.directory.person_by_number(&number, &[account.id]);
        let mut person = match self.verb(add, known, RecordKind::Person, &fields.number)? {
            Verb::Set(person) => person.clone(),
            Verb::Add => self.new_person(account.id, number, draft),
        };
        if let Some(roles) = fields.roles {
            person.roles = roles.into_iter().collect();
        }
        if let Some(disabled) = fields.disabled {
            person.disabled = disabled;
        }
        if fields.new_pin && !add {
            person.verifier = self.new_pin(&person.number, draft);
        }
        draft.edits.push(Edit::put(Entity::Person(person)));
        Ok(())
    }

    fn grant(&self, fields: GrantFields, add: bool, draft: &mut Draft) -> Drafted<()> {
        let mailbox = fields.mailbox.as_deref().map(|name| self.mailbox_named(name)).transpose()?;
        let person = fields.person.as_deref().map(|name| self.person_named(name)).transpose()?;
        let mut grant = match (&fields.id, add) {
            (Some(id), false) => self.grant_named(id)?.clone(),
            _ => Grant {
                id: new_id!(GrantId, self.now),
                mailbox: needed(mailbox, "--mailbox")?.id,
                person: needed(person, "--person")?.id,
                kind: needed(fields.kind, "--kind")?,
                from: self.now,
                until: None,
                approver: self.own_name(),
                reason: needed(self.reason, "--reason")?.to_string(),
            },
        };
        if let Some(from) = fields.from {
            grant.from = from;
        }
        match fields.until {
            None => {}
            Some(Until::Never) => grant.until = None,
            Some(Until::At(until)) => grant.until = Some(until),
        }
        if let Some(kind) = fields.kind {
            grant.kind = kind;
        }
        if let Some(approver) = fields.approver {
            // It stands in the directory as a reason does in the log: in words, and no telephone number.
            let approver = Reason::new(&approver);
            grant.approver =
                approver.map_err(|error| unknown(format!("--approver: {error}")))?.to_string();
        }
        if let Some(reason) = self.reason {
            grant.reason = reason.to_string();
        }
        draft.edits.push(Edit::put(Entity::Grant(grant)));
        Ok(())
    }

    fn alias(&self, fields: AliasFields, add: bool, draft: &mut Draft) -> Drafted<()> {
        let name = AliasName::new(&fields.alias).map_err(|error| unknown(error.to_string()))?;
        let mailbox = fields.mailbox.as_deref().map(|name| self.mailbox_named(name)).transpose()?;
        let mailbox = needed(mailbox, "--mailbox")?;
        let known = self.directory.alias_by_name(&name, &[mailbox.account]);
        let id = match self.verb(add, known, RecordKind::Alias, &fields.alias)? {
            Verb::Set(alias) => alias.id,
            Verb::Add => {
                self.must_be_reached(&name, mailbox)?;
                new_id!(AliasId, self.now)
            }
        };
        let alias = Alias { id, account: mailbox.account, name, mailbox: mailbox.id };
        draft.edits.push(Edit::put(Entity::Alias(alias)));
        Ok(())
    }

    /// An alias counts only where no mailbox has that number, and `*97` is where messages are heard.
    fn must_be_reached(&self, alias: &AliasName, mailbox: &Mailbox) -> Drafted<()> {
        let number = Number::new(alias.as_str()).ok();
        let taken = number.and_then(|n| self.directory.mailbox_by_number(&n, &[mailbox.account]));
        if alias.as_str() == RETRIEVAL {
            Err(unknown(format!(
                "alias {alias:?}: that is called to hear messages",
                alias = alias.as_str()
            )))
        } else if taken.is_some() {
            Err(unknown(format!(
                "alias {:?}: a mailbox of {} has that number, and is what is reached by it",
                alias.as_str(),
                self.directory.account(mailbox.account).map_or("", |account| &account.name),
            )))
        } else {
            Ok(())
        }
    }

    /// A person with a new PIN.
    fn new_person(&self, account: AccountId, number: Number, draft: &mut Draft) -> Person {
        let verifier = self.new_pin(&number, draft);
        let id = new_id!(PersonId, self.now);
        Person { id, account, number, verifier, roles: [Role::User].into(), disabled: false }
    }

    fn new_pin(&self, number: &Number, draft: &mut Draft) -> PinVerifier {
        let pin = pin_rules::generate(random::bytes(), std::slice::from_ref(number));
        let text = Zeroizing::new(pin.expose().to_owned());
        draft.secrets.push((format!("PIN of {number}"), text));
        PinVerifier::make(&pin, &self.keys.pepper, random::bytes())
    }

    /// What is made must not be there; what is changed must.
    fn verb<'r, T>(
        &self,
        add: bool,
        known: Option<&'r T>,
        kind: RecordKind,
        name: &str,
    ) -> Drafted<Verb<&'r T>> {
        match (add, known) {
            (true, None) => Ok(Verb::Add),
            (false, Some(known)) => Ok(Verb::Set(known)),
            (true, Some(_)) => Err(unknown(format!("{} {name:?} is there already", kind.as_str()))),
            (false, None) => Err(no(kind, name)),
        }
    }

    /// The row of a record, by what people call it.
    fn named(&self, kind: RecordKind, name: &str) -> Drafted<RowId> {
        let id = match kind {
            RecordKind::Account => self.account_named(name)?.id.as_uuid(),
            RecordKind::Mailbox => self.mailbox_named(name)?.id.as_uuid(),
            RecordKind::Person => self.person_named(name)?.id.as_uuid(),
            RecordKind::Grant => self.grant_named(name)?.id.as_uuid(),
            RecordKind::Device => {
                let device = self.directory.device_by_username(name);
                device.ok_or_else(|| no(kind, name))?.id.as_uuid()
            }
            RecordKind::Trunk => {
                let trunk = self.directory.trunk_by_name(name);
                trunk.ok_or_else(|| no(kind, name))?.id.as_uuid()
            }
            RecordKind::Alias => {
                let alias = AliasName::new(name).ok();
                let alias = alias.and_then(|name| {
                    self.directory.alias_by_name(&name, &[self.by.account]).map(|alias| alias.id)
                });
                alias.ok_or_else(|| no(kind, name))?.as_uuid()
            }
        };
        Ok(RowId { kind: kind.into(), id })
    }

    /// NUMBER of the administrator's own account, or ACCOUNT/NUMBER.
    fn place(&self, text: &str) -> Drafted<(&Account, Number)> {
        let (account, number) = match text.split_once('/') {
            Some((account, number)) => (self.account_named(account)?, number),
            None => {
                let own = self.directory.account(self.by.account);
                (own.ok_or_else(|| unknown("your account is gone".to_owned()))?, text)
            }
        };
        let number = Number::new(number).map_err(|error| unknown(format!("{text:?}: {error}")))?;
        Ok((account, number))
    }

    fn account_named(&self, name: &str) -> Drafted<&Account> {
        self.directory.account_by_name(name).ok_or_else(|| no(RecordKind::Account, name))
    }

    fn mailbox_named(&self, name: &str) -> Drafted<&Mailbox> {
        let (account, number) = self.place(name)?;
        let mailbox = self.directory.mailbox_by_number(&number, &[account.id]);
        mailbox.ok_or_else(|| no(RecordKind::Mailbox, name))
    }

    fn person_named(&self, name: &str) -> Drafted<&Person> {
        let (account, number) = self.place(name)?;
        let person = self.directory.person_by_number(&number, &[account.id]);
        person.ok_or_else(|| no(RecordKind::Person, name))
    }

    fn grant_named(&self, id: &str) -> Drafted<&Grant> {
        let grant = id.parse::<GrantId>().ok().and_then(|id| self.directory.grant(id));
        grant.ok_or_else(|| no(RecordKind::Grant, id))
    }

    fn own_name(&self) -> String {
        let account = self.directory.account(self.by.account);
        format!("{}/{}", account.map_or("", |account| account.name.as_str()), self.by.number)
    }
}

fn unknown(what: String) -> OperatorError {
    OperatorError::Unknown(what)
}

fn no(kind: RecordKind, name: &str) -> OperatorError {
    unknown(format!("no {} {name:?}", kind.as_str()))
}

fn needed<T>(value: Option<T>, option: &str) -> Drafted<T> {
    value.ok_or_else(|| unknown(format!("{option} is needed")))
}

/// What accounts, trunks and devices may be called: it stands in commands, addresses and logs.
fn word(text: &str, option: &str) -> Drafted<String> {
    let fits = (1..=64).contains(&text.len());
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if fits && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(unknown(format!("{option} {text:?}: 1 to 64 letters, digits, `-`, `_` and `.`")))
    }
}

/// The name of a host.
fn host(text: &str, option: &str) -> Drafted<String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(unknown(format!("{option} {text:?} is no host name")))
    }
}
