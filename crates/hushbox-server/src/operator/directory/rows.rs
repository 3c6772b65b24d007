//! Records as rows: what may be seen of them. No key, no verifier, no digest secret.

use hushbox_policy::{AccountId, Binding, MailboxId, PersonId, RecordKind, RecordRef};
use hushbox_store::model::{CertificateBinding, Entity};
use hushbox_store::{Directory, RowKind};
use serde_json::{Value, json};

/// Every record of a kind, by name.
pub(super) fn all(kind: RecordKind, directory: &Directory) -> Vec<Value> {
    let of_kind = directory.entities().filter(|entity| entity.row().kind == RowKind::from(kind));
    let mut rows: Vec<Value> = of_kind.filter_map(|entity| row(&entity, directory)).collect();
    rows.sort_by_cached_key(|row| {
        ["account", "name", "number", "username", "alias", "mailbox", "person", "id"]
            .map(|name| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned())
    });
    rows
}

/// One record.
pub(super) fn one(record: RecordRef, directory: &Directory) -> Option<Value> {
    let kind = RowKind::from(record.kind);
    let found = directory.entities().find(|entity| {
        let row = entity.row();
        row.kind == kind && row.id == record.id
    });
    row(&found?, directory)
}

fn row(entity: &Entity, directory: &Directory) -> Option<Value> {
    let id = entity.row().id.to_string();
    Some(match entity {
        Entity::Account(account) => json!({
            "name": account.name, "profile": account.profile.as_str(), "domain": account.domain,
            "baa": account.baa.as_ref().map(|baa| baa.text.as_str()), "id": id,
        }),
        Entity::Mailbox(mailbox) => json!({
            "account": account(mailbox.account, directory), "number": mailbox.number.as_str(),
            "time_zone": mailbox.time_zone, "id": id,
        }),
        Entity::Person(person) => json!({
            "account": account(person.account, directory), "number": person.number.as_str(),
            "roles": person.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
            "disabled": person.disabled, "id": id,
        }),
        Entity::Grant(grant) => {
            let of = directory.mailbox(grant.mailbox).map(|mailbox| mailbox.account);
            json!({
                "id": id, "account": of.map(|of| account(of, directory)),
                "mailbox": mailbox(grant.mailbox, directory), "person": person(grant.person, directory),
                "kind": grant.kind, "from": grant.from.to_string(),
                "until": grant.until.map(|until| until.to_string()),
                "approver": grant.approver, "reason": grant.reason,
            })
        }
        Entity::Device(device) => {
            let (persons, of) = match &device.bound {
                Binding::Persons(persons) => {
                    (persons.iter().map(|id| person(*id, directory)).collect::<Vec<_>>(), None)
                }
                Binding::Mailbox(id) => (Vec::new(), Some(mailbox(*id, directory))),
            };
            let sha256 = device.digest_sha256.as_ref().map(|_| "SHA-256");
            let sha512 = device.digest_sha512_256.as_ref().map(|_| "SHA-512-256");
            let md5 = device.digest_md5.as_ref().map(|_| "MD5");
            json!({
                "account": account(device.account, directory), "username": device.username,
                "persons": persons, "mailbox": of,
                "digest": sha256.into_iter().chain(sha512).chain(md5).collect::<Vec<_>>(),
                "certificate": certificate(device.certificate.as_ref()), "id": id,
            })
        }
        Entity::Trunk(trunk) => json!({
            "name": trunk.name, "certificate": certificate(trunk.certificate.as_ref()),
            "digest": trunk.digest_sha256.iter().map(|_| "SHA-256").collect::<Vec<_>>(),
            "accounts": trunk.accounts.iter().map(|id| account(*id, directory)).collect::<Vec<_>>(),
            "lab_addresses": trunk.lab_addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "order": trunk.addressing.order, "trusted": trunk.addressing.trusted,
            "diverted": trunk.addressing.diverted, "hosts": trunk.addressing.hosts,
            "digits": trunk.addressing.digits.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "catch_all": trunk.addressing.catch_all.map(|id| mailbox(id, directory)),
            "calls_max": trunk.calls_max, "mwi": trunk.mwi.as_ref().map(ToString::to_string),
            "id": id,
        }),
        Entity::Alias(alias) => json!({
            "account": account(alias.account, directory), "alias": alias.name.as_str(),
            "mailbox": mailbox(alias.mailbox, directory), "id": id,
        }),
        Entity::Node(_) | Entity::Removed(_) => return None,
    })
}

fn account(id: AccountId, directory: &Directory) -> String {
    directory.account(id).map_or_else(|| id.to_string(), |account| account.name.clone())
}

fn mailbox(id: MailboxId, directory: &Directory) -> String {
    directory.mailbox(id).map_or_else(|| id.to_string(), |mailbox| mailbox.number.to_string())
}

fn person(id: PersonId, directory: &Directory) -> String {
    directory.person(id).map_or_else(|| id.to_string(), |person| person.number.to_string())
}

/// `key:HASH`, or the name and whose signature it needs.
fn certificate(binding: Option<&CertificateBinding>) -> Option<String> {
    Some(match binding? {
        CertificateBinding::KeyHash(hash) => format!("key:{}", hex::encode(hash)),
        CertificateBinding::AuthorityAndName { authority: Some(authority), name } => {
            format!("{name} by {}", hex::encode(authority))
        }
        CertificateBinding::AuthorityAndName { authority: None, name } => name.clone(),
    })
}
