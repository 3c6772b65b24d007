//! `hushbox account|mailbox|person|grant|device|trunk|alias list|add|set|remove`

mod addressing;
pub mod args;
mod certificate;
mod secret_file;

use std::path::Path;

use hushbox_policy::RecordKind;

use super::args::{List, Mailbox};
use super::{Failure, load, mailbox, pin, table};
use crate::control::directory::{
    AccountFields, AliasFields, Bound, CallsMax, Change, ChangeRequest, DeviceFields,
    DirectoryRequest, Fields, GrantFields, MailboxFields, Password, PersonFields, TrunkFields,
    TrunkPassword, Unasked,
};
use crate::control::{Reply, Request, client};
use args::{Account, Alias, BoundArgs, By, Device, Grant, Person, Remove, Trunk};
use secret_file::SecretPlace;

pub(super) fn account(command: Account) -> Result<(), Failure> {
    match command {
        Account::List(args) => list(RecordKind::Account, &args),
        Account::Add(args) => {
            let fields = AccountFields {
                name: args.name,
                profile: args.profile,
                domain: Some(args.domain),
                baa: args.baa,
                admin: Some(args.admin),
            };
            let secret = SecretPlace::new(args.pin_out.as_deref())?;
            change(RecordKind::Account, args.by, Change::Add(Fields::Account(fields)), Some(secret))
        }
        Account::Set(args) => {
            let secret = shown(args.admin.is_some(), args.pin_out.as_deref())?;
            let fields = AccountFields {
                name: args.name,
                profile: args.profile,
                domain: args.domain,
                baa: args.baa,
                admin: args.admin,
            };
            change(RecordKind::Account, args.by, Change::Set(Fields::Account(fields)), secret)
        }
        Account::Remove(args) => remove(RecordKind::Account, args),
    }
}

pub(super) fn mailbox(command: Mailbox) -> Result<(), Failure> {
    let fields = |args: args::MailboxFields| {
        let fields = MailboxFields { number: args.number, time_zone: args.time_zone };
        (args.by, Fields::Mailbox(fields))
    };
    match command {
        Mailbox::List(args) => mailbox::list(&args),
        Mailbox::Add(args) => {
            let (by, fields) = fields(args);
            change(RecordKind::Mailbox, by, Change::Add(fields), None)
        }
        Mailbox::Set(args) => {
            let (by, fields) = fields(args);
            change(RecordKind::Mailbox, by, Change::Set(fields), None)
        }
        Mailbox::Remove(args) => remove(RecordKind::Mailbox, args),
    }
}

pub(super) fn person(command: Person) -> Result<(), Failure> {
    match command {
        Person::List(args) => list(RecordKind::Person, &args),
        Person::Add(args) => {
            let fields = PersonFields {
                number: args.number,
                roles: given(args.roles),
                disabled: None,
                new_pin: true,
            };
            let secret = SecretPlace::new(args.pin_out.as_deref())?;
            change(RecordKind::Person, args.by, Change::Add(Fields::Person(fields)), Some(secret))
        }
        Person::Set(args) => {
            let fields = PersonFields {
                number: args.number,
                roles: given(args.roles),
                disabled: (args.disable || args.enable).then_some(args.disable),
                new_pin: args.new_pin,
            };
            let secret = shown(args.new_pin, args.pin_out.as_deref())?;
            change(RecordKind::Person, args.by, Change::Set(Fields::Person(fields)), secret)
        }
        Person::Remove(args) => remove(RecordKind::Person, args),
    }
}

pub(super) fn grant(command: Grant) -> Result<(), Failure> {
    match command {
        Grant::List(args) => list(RecordKind::Grant, &args),
        Grant::Add(args) => {
            let fields = GrantFields {
                id: None,
                mailbox: Some(args.mailbox),
                person: Some(args.person),
                kind: Some(args.kind),
                from: args.from,
                until: args.until,
                approver: args.approver,
            };
            change(RecordKind::Grant, args.by, Change::Add(Fields::Grant(fields)), None)
        }
        Grant::Set(args) => {
            let fields = GrantFields {
                id: Some(args.id),
                mailbox: None,
                person: None,
                kind: args.kind,
                from: args.from,
                until: args.until,
                approver: args.approver,
            };
            change(RecordKind::Grant, args.by, Change::Set(Fields::Grant(fields)), None)
        }
        Grant::Remove(args) => remove(RecordKind::Grant, args),
    }
}

pub(super) fn device(command: Device) -> Result<(), Failure> {
    match command {
        Device::List(args) => list(RecordKind::Device, &args),
        Device::Add(args) => {
            let password =
                if args.no_password { Password::None } else { Password::New { md5: args.md5 } };
            let fields = DeviceFields {
                username: args.username,
                bound: bound(args.bound),
                password: Some(password),
                certificate: certificate::binding(args.certificate, false)?,
            };
            let secret = shown(!args.no_password, args.password_out.as_deref())?;
            change(RecordKind::Device, args.by, Change::Add(Fields::Device(fields)), secret)
        }
        Device::Set(args) => {
            let proof = args.proof;
            let fields = DeviceFields {
                username: args.username,
                bound: bound(args.bound),
                password: proof.password(Password::New { md5: args.md5 }, Password::None),
                certificate: certificate::binding(proof.certificate, proof.no_certificate)?,
            };
            let secret = shown(proof.new_password, proof.password_out.as_deref())?;
            change(RecordKind::Device, args.by, Change::Set(Fields::Device(fields)), secret)
        }
        Device::Remove(args) => remove(RecordKind::Device, args),
    }
}

pub(super) fn trunk(command: Trunk) -> Result<(), Failure> {
    let fields = |args: args::TrunkFields| -> Result<(By, Fields, Option<SecretPlace>), Failure> {
        let none = args.no_lab_address.then(Vec::new);
        let proof = args.proof;
        let fields = TrunkFields {
            name: args.name,
            password: proof.password(TrunkPassword::New, TrunkPassword::None),
            certificate: certificate::binding(proof.certificate, proof.no_certificate)?,
            accounts: given(args.accounts),
            lab_addresses: given(args.lab_addresses).or(none),
            addressing: args.addressing.into(),
            calls_max: args
                .calls_max
                .map(CallsMax::Calls)
                .or(args.no_calls_max.then_some(CallsMax::None)),
            mwi: args.mwi.or(args.no_mwi.then_some(Unasked::Never)),
        };
        let secret = shown(proof.new_password, proof.password_out.as_deref())?;
        Ok((args.by, Fields::Trunk(fields), secret))
    };
    match command {
        Trunk::List(args) => list(RecordKind::Trunk, &args),
        Trunk::Add(args) => {
            let (by, fields, secret) = fields(args)?;
            change(RecordKind::Trunk, by, Change::Add(fields), secret)
        }
        Trunk::Set(args) => {
            let (by, fields, secret) = fields(args)?;
            change(RecordKind::Trunk, by, Change::Set(fields), secret)
        }
        Trunk::Remove(args) => remove(RecordKind::Trunk, args),
    }
}

pub(super) fn alias(command: Alias) -> Result<(), Failure> {
    let fields = |args: args::AliasFields| {
        let fields = AliasFields { alias: args.alias, mailbox: Some(args.mailbox) };
        (args.by, Fields::Alias(fields))
    };
    match command {
        Alias::List(args) => list(RecordKind::Alias, &args),
        Alias::Add(args) => {
            let (by, fields) = fields(args);
            change(RecordKind::Alias, by, Change::Add(fields), None)
        }
        Alias::Set(args) => {
            let (by, fields) = fields(args);
            change(RecordKind::Alias, by, Change::Set(fields), None)
        }
        Alias::Remove(args) => remove(RecordKind::Alias, args),
    }
}

fn list(kind: RecordKind, args: &List) -> Result<(), Failure> {
    let request = Request::Directory(DirectoryRequest::List(kind));
    let rows = client::rows(&load(&args.at)?, &request)?;
    table::print(&rows, columns(kind), args.json);
    Ok(())
}

fn remove(kind: RecordKind, args: Remove) -> Result<(), Failure> {
    change(kind, args.by, Change::Remove { kind, name: args.name }, None)
}

/// Asks for a change and shows what came of it.
fn change(
    kind: RecordKind,
    by: By,
    change: Change,
    mut secret: Option<SecretPlace>,
) -> Result<(), Failure> {
    if matches!(&change, Change::Set(fields) if fields.is_empty(by.reason.is_some())) {
        return Err("nothing to change: give an option that says what (--help has them)".into());
    }
    let config = load(&by.at)?;
    let pin = pin(by.pin_file.as_deref(), &by.person)?;
    let removed = match &change {
        Change::Remove { name, .. } => Some(name.clone()),
        Change::Add(_) | Change::Set(_) => None,
    };
    let request = ChangeRequest { person: by.person, pin, reason: by.reason, change };
    let request = Request::Directory(DirectoryRequest::Change(Box::new(request)));
    let mut rows = Vec::new();
    let mut made = Vec::new();
    client::ask(&config, &request, |reply| {
        match reply {
            Reply::Row(row) => rows.push(row),
            Reply::Secret { name, secret } => made.push((name, secret)),
            Reply::AudioFormat { .. } | Reply::Audio(_) | Reply::End | Reply::Refused(_) => {}
        }
        Ok(())
    })?;
    if let (Some(name), false) = (removed, by.json) {
        super::say(&format!("{} {name}: removed\n", kind.as_str()));
    } else {
        table::print(&rows, columns(kind), by.json);
    }
    for (name, text) in made {
        let place = secret.take().ok_or("the server made a secret that was not asked for")?;
        place.show(&name, &text)?;
    }
    Ok(())
}

/// Where a secret is shown, if one will be made.
fn shown(made: bool, file: Option<&Path>) -> Result<Option<SecretPlace>, Failure> {
    if made { Ok(Some(SecretPlace::new(file)?)) } else { Ok(None) }
}

fn given<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn bound(args: BoundArgs) -> Option<Bound> {
    args.mailbox.map(Bound::Mailbox).or_else(|| given(args.persons).map(Bound::Persons))
}

const fn columns(kind: RecordKind) -> &'static [&'static str] {
    match kind {
        RecordKind::Account => &["name", "profile", "domain", "baa"],
        RecordKind::Mailbox => &["account", "number", "time_zone"],
        RecordKind::Person => &["account", "number", "roles", "disabled"],
        RecordKind::Grant => {
            &["id", "account", "mailbox", "person", "kind", "from", "until", "approver", "reason"]
        }
        RecordKind::Device => {
            &["account", "username", "persons", "mailbox", "digest", "certificate"]
        }
        RecordKind::Trunk => &[
            "name",
            "accounts",
            "certificate",
            "digest",
            "lab_addresses",
            "digits",
            "catch_all",
            "calls_max",
            "mwi",
        ],
        RecordKind::Alias => &["account", "alias", "mailbox"],
    }
}
