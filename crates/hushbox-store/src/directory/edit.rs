//! A change of the directory: planned and checked whole, then signed by whoever was authorised.
//!
//! What a change must keep beyond the directory's own rules stands here: rules that need what was there before, and
//! contradictions of a profile.

use hushbox_audit::{Authorised, Hash};
use hushbox_policy::{ChangeDirectory, Profile, RecordKind, RecordRef, Role};
use jiff::Timestamp;

use super::{Directory, fields};
use crate::error::{DirectoryError, KeyError};
use crate::model::{Entity, Tombstone};
use crate::row::{self, DirectoryRow, RowId, RowKind};
use crate::signing::DirectoryKey;

/// One step of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Make it, or replace what is there under its id.
    Put(Box<Entity>),
    /// Remove what is there; its row stays as a tombstone.
    Remove {
        /// Which row.
        row: RowId,
        /// When.
        at: Timestamp,
    },
}

/// A change that breaks no rule, not yet signed.
#[derive(Debug)]
pub struct Planned {
    record: RecordRef,
    changed: Vec<(Entity, u64)>,
    fields: Vec<&'static str>,
    before: Hash,
    after: Hash,
}

impl Directory {
    /// Plans edits of the rows that this directory was built from. The first says what is changed; more can only be
    /// persons that come with a new account.
    ///
    /// # Errors
    ///
    /// Everything that the directory would then have wrong, each with its row.
    pub fn plan(
        &self,
        rows: &[DirectoryRow],
        edits: &[Edit],
    ) -> Result<Planned, Vec<DirectoryError>> {
        let before = row::hash_of(rows);
        if self.hash() != Some(before) {
            return Err(vec![DirectoryError::OtherRows]);
        }
        let mut after: Vec<DirectoryRow> = rows.to_vec();
        let mut changed = Vec::new();
        let mut touched = Vec::new();
        for edit in edits {
            let entity = self.edited(edit).map_err(|error| vec![error])?;
            let at = after.iter().position(|row| row.row == entity.row());
            let version = at.map_or(1, |at| after[at].version.saturating_add(1));
            let row = DirectoryRow::unsigned(&entity, version);
            match at {
                Some(at) => after[at] = row,
                None => after.push(row),
            }
            if matches!(edit, Edit::Put(_))
                && let Some(there) = self.entities().find(|there| there.row() == entity.row())
            {
                touched.extend(fields::changed(&there, &entity));
            }
            changed.push((entity, version));
        }
        let untouched = self
            .entities()
            .filter(|entity| changed.iter().all(|(edited, _)| edited.row() != entity.row()));
        let next =
            Directory::of(untouched.chain(changed.iter().map(|(entity, _)| entity.clone())))?;
        let record = self.record(&next, edits).map_err(|error| vec![error])?;
        let broken = self.broken_by(&next, &changed);
        if !broken.is_empty() {
            return Err(broken);
        }
        if changed.len() > 1 && edits.first().is_some_and(|first| self.has(first.row())) {
            touched.push("changed.admin");
        }
        let after = row::hash_of(&after);
        Ok(Planned { record, changed, fields: touched, before, after })
    }

    fn has(&self, row: RowId) -> bool {
        self.entities().any(|entity| entity.row() == row)
    }

    /// What an edit leaves in its row.
    fn edited(&self, edit: &Edit) -> Result<Entity, DirectoryError> {
        match edit {
            Edit::Put(entity) if matches!(**entity, Entity::Node(_) | Entity::Removed(_)) => {
                Err(invalid(edit.row(), "it is not changed by commands"))
            }
            Edit::Put(entity) => {
                let there = self.entities().find(|there| there.row() == entity.row());
                match there {
                    Some(Entity::Removed(_)) => Err(invalid(entity.row(), "it was removed")),
                    Some(there) if there.account() != entity.account() => {
                        Err(invalid(entity.row(), "it stays in its account"))
                    }
                    _ => Ok(Entity::clone(entity)),
                }
            }
            Edit::Remove { row, at } => {
                let there = self.entities().find(|there| there.row() == *row);
                match there {
                    None | Some(Entity::Removed(_)) => Err(DirectoryError::Unknown { row: *row }),
                    Some(Entity::Node(_)) => Err(invalid(*row, "it is not changed by commands")),
                    Some(there) => Ok(Entity::Removed(Tombstone::of(&there, *at))),
                }
            }
        }
    }

    /// What is changed, for policy. A removed record is what it was.
    fn record(&self, next: &Directory, edits: &[Edit]) -> Result<RecordRef, DirectoryError> {
        let Some((first, others)) = edits.split_first() else {
            return Err(DirectoryError::OtherRows);
        };
        let row = first.row();
        let among = match first {
            Edit::Put(_) => next,
            Edit::Remove { .. } => self,
        };
        let entity = among.entities().find(|entity| entity.row() == row);
        let entity = entity.ok_or(DirectoryError::Unknown { row })?;
        let account = match &entity {
            Entity::Grant(grant) => among.mailbox(grant.mailbox).map(|mailbox| mailbox.account),
            entity => entity.account(),
        };
        for other in others {
            let person = match other {
                Edit::Put(entity) => match &**entity {
                    Entity::Person(person) => Some(person),
                    _ => None,
                },
                Edit::Remove { .. } => None,
            };
            let comes_along = row.kind == RowKind::Account
                && person.is_some_and(|person| {
                    Some(person.account) == account && self.person(person.id).is_none()
                });
            if !comes_along {
                return Err(invalid(other.row(), "it is a change of its own"));
            }
        }
        let kind = RecordKind::ALL.into_iter().find(|kind| RowKind::from(*kind) == row.kind);
        let kind = kind.ok_or(DirectoryError::Unknown { row })?;
        Ok(RecordRef { kind, id: row.id, account })
    }

    /// The rules that need what was there before, and contradictions of a profile.
    fn broken_by(&self, next: &Directory, changed: &[(Entity, u64)]) -> Vec<DirectoryError> {
        let mut broken = Vec::new();
        let system = self.system_account();
        if let Some(system) = system {
            let row = Entity::Account(system.clone()).row();
            if next.system_account().map(|account| account.id) != Some(system.id) {
                broken.push(invalid(row, "the built-in account system keeps its name and stays"));
            } else if self.has_security_admin(system.id) && !next.has_security_admin(system.id) {
                broken.push(invalid(row, "it would have no security-admin left"));
            }
        }
        for (entity, _) in changed {
            let Entity::Account(account) = entity else { continue };
            let is_system = system.is_some_and(|system| system.id == account.id);
            if account.profile == Profile::Hipaa && account.baa.is_none() && !is_system {
                broken.push(invalid(entity.row(), "the profile hipaa needs a BAA record"));
            }
        }
        // MD5 is for lab listeners, where nothing of a hipaa account exists (profile rule `sip.digest-md5`).
        let hipaa = |device: &&crate::model::Device| {
            next.account(device.account).is_some_and(|account| account.profile == Profile::Hipaa)
        };
        for device in next.devices().filter(hipaa).filter(|device| device.digest_md5.is_some()) {
            let row = RowId { kind: RowKind::Device, id: device.id.as_uuid() };
            broken.push(invalid(row, "an MD5 secret contradicts its account's profile hipaa"));
        }
        broken
    }

    fn has_security_admin(&self, account: hushbox_policy::AccountId) -> bool {
        self.persons().any(|person| {
            person.account == account
                && !person.disabled
                && person.roles.contains(&Role::SecurityAdmin)
        })
    }
}

impl Edit {
    /// Makes an entity, or replaces what is there under its id.
    pub fn put(entity: Entity) -> Edit {
        Edit::Put(Box::new(entity))
    }

    fn row(&self) -> RowId {
        match self {
            Edit::Put(entity) => entity.row(),
            Edit::Remove { row, .. } => *row,
        }
    }
}

fn invalid(row: RowId, what: &'static str) -> DirectoryError {
    DirectoryError::Invalid { row, what }
}

impl Planned {
    /// What is changed, for policy.
    pub fn record(&self) -> RecordRef {
        self.record
    }

    /// The names of the fields that differ, as the audit log has them; none where a record is made or removed.
    pub fn fields(&self) -> &[&'static str] {
        &self.fields
    }

    /// The directory's hash before the change.
    pub fn before(&self) -> Hash {
        self.before
    }

    /// The directory's hash after the change.
    pub fn after(&self) -> Hash {
        self.after
    }

    /// Signs the change for whoever was permitted and written down to make it.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotThisRecord`] when another change was authorised.
    pub fn sign(
        self,
        authorised: Authorised<ChangeDirectory>,
        key: &DirectoryKey,
    ) -> Result<Vec<DirectoryRow>, KeyError> {
        if *authorised.object() != self.record {
            return Err(KeyError::NotThisRecord);
        }
        self.changed
            .iter()
            .map(|(entity, version)| DirectoryRow::sign(entity, *version, key))
            .collect()
    }
}
