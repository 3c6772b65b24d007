//! Who may change and list the directory: every actor x role x account x kind x surface x factor, against a statement
//! written down apart from the table in `access.rs`.
#![expect(clippy::disallowed_methods, reason = "the facts are what is walked")]

use hushbox_policy::retention::RetentionRule;
use hushbox_policy::{
    AccountId, Actor, ChangeDirectory, Denied, Facts, ListDirectory, PersonFacts, PersonId,
    RecordKind, RecordRef, Request, Role, Surface, authorise,
};
use jiff::Timestamp;
use uuid::Uuid;

const SYSTEM: AccountId = AccountId::from_bytes([1; 16]);
const CLINIC: AccountId = AccountId::from_bytes([2; 16]);
const OTHER: AccountId = AccountId::from_bytes([3; 16]);
const PERSON: PersonId = PersonId::from_bytes([4; 16]);
const SURFACES: [Surface; 4] =
    [Surface::Phone, Surface::LabPhone, Surface::Operator, Surface::Service];

fn actors() -> [Actor; 5] {
    [
        Actor::Person(PERSON),
        Actor::Person(PersonId::from_bytes([9; 16])),
        Actor::Operator { uid: 0 },
        RetentionRule::Deleted.actor(),
        Actor::System,
    ]
}

#[derive(Clone, Copy, Debug)]
struct Case {
    actor: Actor,
    surface: Surface,
    role: Role,
    account: AccountId,
    pin: bool,
    disabled: bool,
    system_is_known: bool,
    record: RecordRef,
}

impl Case {
    fn facts(&self) -> Facts {
        let mut facts = Facts::new(Timestamp::UNIX_EPOCH, self.surface).person(PersonFacts {
            person: PERSON,
            account: self.account,
            disabled: self.disabled,
            roles: [self.role].into(),
        });
        if self.pin {
            facts = facts.pin_verified(PERSON);
        }
        if self.system_is_known {
            facts = facts.system_account(SYSTEM);
        }
        facts
    }

    fn decided(&self) -> Result<&'static str, Denied> {
        let request = Request::<ChangeDirectory>::new(self.actor, self.record);
        let permit = authorise(&request, &self.facts())?;
        assert_eq!(*permit.object(), self.record);
        assert_eq!(permit.grounds().account, self.record.account);
        Ok(permit.grounds().rule)
    }

    /// design.md decision 8.
    fn stated(&self) -> bool {
        let admin = self.actor == Actor::Person(PERSON)
            && self.surface == Surface::Operator
            && self.role == Role::SecurityAdmin
            && self.pin
            && !self.disabled;
        let reaches = match self.record.kind {
            RecordKind::Account | RecordKind::Trunk => {
                self.system_is_known && self.account == SYSTEM
            }
            _ => self.record.account == Some(self.account),
        };
        admin && reaches
    }
}

#[test]
fn security_admins_change_their_own_account_and_those_of_system_accounts_and_trunks() {
    let mut allowed = 0;
    for actor in actors() {
        for surface in SURFACES {
            for role in Role::ALL {
                for account in [SYSTEM, CLINIC] {
                    for bits in 0..8_u8 {
                        for kind in RecordKind::ALL {
                            for of in [Some(SYSTEM), Some(CLINIC), Some(OTHER), None] {
                                let record = RecordRef { kind, id: Uuid::nil(), account: of };
                                let case = Case {
                                    actor,
                                    surface,
                                    role,
                                    account,
                                    pin: bits & 1 != 0,
                                    disabled: bits & 2 != 0,
                                    system_is_known: bits & 4 != 0,
                                    record,
                                };
                                let decided = case.decided();
                                assert_eq!(decided.is_ok(), case.stated(), "{case:?}: {decided:?}");
                                allowed += usize::from(decided.is_ok());
                            }
                        }
                    }
                }
            }
        }
    }
    // Two kinds (whatever they belong to) for system, where it is known; five kinds for either account.
    assert_eq!(allowed, 2 * 4 + 5 * 2 * 2);
}

#[test]
fn a_refusal_says_what_is_missing() {
    let record = RecordRef { kind: RecordKind::Person, id: Uuid::nil(), account: Some(CLINIC) };
    let right = Case {
        actor: Actor::Person(PERSON),
        surface: Surface::Operator,
        role: Role::SecurityAdmin,
        account: CLINIC,
        pin: true,
        disabled: false,
        system_is_known: true,
        record,
    };
    assert_eq!(right.decided(), Ok("access.administer"));
    let trunk = RecordRef { kind: RecordKind::Trunk, account: None, ..record };
    for (case, denied) in [
        (Case { pin: false, ..right }, Denied::PinMissing),
        (Case { disabled: true, ..right }, Denied::Disabled),
        (Case { role: Role::MailboxAdmin, ..right }, Denied::RoleMissing),
        (Case { account: OTHER, ..right }, Denied::OtherAccount),
        (Case { account: SYSTEM, ..right }, Denied::OtherAccount),
        (Case { record: trunk, ..right }, Denied::SystemAccountOnly),
        (Case { surface: Surface::Phone, ..right }, Denied::NoRule),
        (Case { actor: Actor::Operator { uid: 0 }, ..right }, Denied::NoRule),
    ] {
        assert_eq!(case.decided(), Err(denied), "{case:?}");
    }
}

#[test]
fn a_command_without_a_name_lists_the_directory_and_nobody_else_does() {
    for actor in actors() {
        for surface in SURFACES {
            for kind in RecordKind::ALL {
                let request = Request::<ListDirectory>::new(actor, kind);
                let listed = authorise(&request, &Facts::new(Timestamp::UNIX_EPOCH, surface));
                let stated =
                    surface == Surface::Operator && matches!(actor, Actor::Operator { .. });
                assert_eq!(listed.is_ok(), stated, "{actor:?} {surface:?} {kind:?}");
            }
        }
    }
}
