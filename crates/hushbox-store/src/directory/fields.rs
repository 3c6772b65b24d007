//! Which fields of a record a change touches: their names, for the audit log. Never what stands in them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::model::Entity;

/// A field as rows have it, and its name in the audit log. What people change has the name of its option there.
const FIELDS: [(&str, &str); 36] = [
    ("account", "changed.account"),
    ("accounts", "changed.accounts"),
    ("approver", "changed.approver"),
    ("baa", "changed.baa"),
    ("bound", "changed.bound"),
    ("calls_max", "changed.calls_max"),
    ("catch_all", "changed.catch_all"),
    ("certificate", "changed.certificate"),
    ("digest_md5", "changed.password"),
    ("digest_sha256", "changed.password"),
    ("digest_sha512_256", "changed.password"),
    ("digits", "changed.digits"),
    ("disabled", "changed.disabled"),
    ("diverted", "changed.diverted"),
    ("domain", "changed.domain"),
    ("epoch", "changed.key"),
    ("from", "changed.from"),
    ("hosts", "changed.hosts"),
    ("kind", "changed.kind"),
    ("lab_addresses", "changed.lab_addresses"),
    ("mailbox", "changed.mailbox"),
    ("mwi", "changed.mwi"),
    ("name", "changed.name"),
    ("number", "changed.number"),
    ("order", "changed.order"),
    ("person", "changed.person"),
    ("profile", "changed.profile"),
    ("public_key", "changed.key"),
    ("purpose", "changed.purpose"),
    ("reason", "changed.reason"),
    ("roles", "changed.roles"),
    ("time_zone", "changed.time_zone"),
    ("trusted", "changed.trusted"),
    ("until", "changed.until"),
    ("username", "changed.username"),
    ("verifier", "changed.pin"),
];

/// A field of which this table does not know: a mistake, and better than a record that is silent about it.
const OTHER: &str = "changed.other";

/// The names of the fields in which a record differs from what it was.
pub(super) fn changed(before: &Entity, after: &Entity) -> Vec<&'static str> {
    let (before, after) = (fields(before), fields(after));
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differ = all.into_iter().filter(|field| before.get(*field) != after.get(*field));
    let names: BTreeSet<&'static str> = differ.map(|field| name(field)).collect();
    names.into_iter().collect()
}

/// Fields by name; those of a trunk's addressing each for itself.
fn fields(entity: &Entity) -> Map<String, Value> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&entity.to_json()) else {
        return Map::new();
    };
    if let Some(Value::Object(addressing)) = fields.remove("addressing") {
        fields.extend(addressing);
    }
    fields
}

fn name(field: &str) -> &'static str {
    match field {
        "wrapped_key" | "wrapped_private_key" => "changed.key",
        field => FIELDS.iter().find(|(known, _)| *known == field).map_or(OTHER, |(_, name)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_rows_have_has_a_name() {
        let golden = include_str!("../../tests/golden/directory-1.json");
        let golden: Value = serde_json::from_str(golden).unwrap();
        let mut count = 0;
        for row in golden["rows"].as_array().unwrap() {
            let kind = row["kind"].as_str().unwrap().parse().unwrap();
            let entity = Entity::from_json(kind, row["body"].as_str().unwrap().as_bytes()).unwrap();
            for field in fields(&entity).keys().filter(|field| *field != "id") {
                assert_ne!(name(field), OTHER, "{field}");
                count += 1;
            }
        }
        assert!(count > 30, "the golden rows were read");
    }
}
