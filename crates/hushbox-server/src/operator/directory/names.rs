//! Refusals as people read them: records by what they are called, where the store names their rows.

use std::collections::BTreeMap;

use hushbox_store::directory::Edit;
use hushbox_store::model::Entity;
use hushbox_store::{Directory, DirectoryError, RowId};

use super::super::OperatorError;
use super::super::listing::account_name;

/// Everything that the directory would have wrong after these edits, one a line.
pub(super) fn refused(
    errors: &[DirectoryError],
    directory: &Directory,
    edits: &[Edit],
) -> OperatorError {
    let names = names(directory, edits);
    let removes = |id: &str| {
        edits
            .iter()
            .any(|edit| matches!(edit, Edit::Remove { row, .. } if row.id.to_string() == id))
    };
    let lines: Vec<String> = errors
        .iter()
        .map(|error| match error {
            DirectoryError::Missing { row, what, id } if removes(id) => {
                format!("{row} has this {what}: change or remove that first")
            }
            error => error.to_string(),
        })
        .map(|line| named(line, &names))
        .collect();
    OperatorError::Directory(lines.join("\n"))
}

/// The text with names in place of ids.
fn named(mut text: String, names: &BTreeMap<RowId, String>) -> String {
    for (row, name) in names {
        let id = row.id.to_string();
        if text.contains(&id) {
            text = text.replace(&row.to_string(), &format!("{} {name}", row.kind));
            text = text.replace(&id, name);
        }
    }
    text
}

/// What records are called; one that is made gets the name that was typed for it.
fn names(directory: &Directory, edits: &[Edit]) -> BTreeMap<RowId, String> {
    let made = edits.iter().filter_map(|edit| match edit {
        Edit::Put(entity) => Some(Entity::clone(entity)),
        Edit::Remove { .. } => None,
    });
    let all = directory.entities().chain(made);
    all.filter_map(|entity| Some((entity.row(), name(&entity, directory)?))).collect()
}

fn name(entity: &Entity, directory: &Directory) -> Option<String> {
    let of = |account, name: &str| match account_name(directory, account) {
        "" => name.to_owned(),
        account => format!("{account}/{name}"),
    };
    Some(match entity {
        Entity::Account(account) => account.name.clone(),
        Entity::Mailbox(mailbox) => of(mailbox.account, mailbox.number.as_str()),
        Entity::Person(person) => of(person.account, person.number.as_str()),
        Entity::Device(device) => device.username.clone(),
        Entity::Trunk(trunk) => trunk.name.clone(),
        Entity::Alias(alias) => of(alias.account, alias.name.as_str()),
        Entity::Grant(grant) => {
            let mailbox = directory.mailbox(grant.mailbox)?;
            let person = directory.person(grant.person)?;
            format!("of person {} on mailbox {}", person.number, mailbox.number)
        }
        Entity::Node(_) | Entity::Removed(_) => return None,
    })
}
