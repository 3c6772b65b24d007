//! hipaa-controls 1.1: every actor x role x action x object x surface x factor, against a statement of who may do what
//! that was written down apart from the table in `access.rs`. What is not stated is denied.
#![expect(clippy::disallowed_methods, reason = "the facts are what is walked")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hushbox_policy::retention::{RetentionRule, Waiting};
use hushbox_policy::{
    AccountId, Actor, Binding, Delete, Denied, Destroy, DeviceFacts, DeviceId, EitherProfile,
    EmailAudio, Export, Facts, GrantFacts, GrantId, GrantKind, ListMailbox, Listen, MailboxFacts,
    MailboxId, MessageFacts, MessageId, MessageRef, OpenMailbox, PersonFacts, PersonId, Profile,
    Reason, Request, Reveal, Role, Save, SetBy, Strictness, Surface, Transcribe, Undelete,
    authorise, authorise_on_standard, could_authorise,
};
use jiff::Timestamp;

const ACTIONS: [&str; 10] = [
    "open-mailbox",
    "listen",
    "save",
    "delete",
    "undelete",
    "export",
    "reveal",
    "destroy",
    "list-mailbox",
    "list-everything",
];
const SURFACES: [Surface; 4] =
    [Surface::Phone, Surface::LabPhone, Surface::Operator, Surface::Service];
const PROFILES: [Profile; 2] = [Profile::Hipaa, Profile::Standard];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Own,
    Supervised,
    GrantEndsNow,
    GrantBeginsLater,
    GrantOfAnother,
    GrantOnAnother,
    NoGrant,
    /// A grant across accounts, which the directory refuses; policy does too.
    OtherAccount,
    /// The message is said to be in a mailbox that it is not in.
    Misplaced,
    /// The facts are about another object.
    OtherObject,
    /// Nothing is known of the object.
    Unknown,
}

const RELATIONS: [Relation; 11] = [
    Relation::Own,
    Relation::Supervised,
    Relation::GrantEndsNow,
    Relation::GrantBeginsLater,
    Relation::GrantOfAnother,
    Relation::GrantOnAnother,
    Relation::NoGrant,
    Relation::OtherAccount,
    Relation::Misplaced,
    Relation::OtherObject,
    Relation::Unknown,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    BoundToPerson,
    BoundToMailbox,
    BoundToOthers,
    BoundToAnotherMailbox,
    OfAnotherAccount,
    /// The facts speak of a device, the request comes from another.
    AnotherDevice,
    Nothing,
}

const HELD: [Held; 7] = [
    Held::BoundToPerson,
    Held::BoundToMailbox,
    Held::BoundToOthers,
    Held::BoundToAnotherMailbox,
    Held::OfAnotherAccount,
    Held::AnotherDevice,
    Held::Nothing,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PinOf {
    ThePerson,
    Another,
    Nobody,
}

#[derive(Clone, Debug)]
struct Case {
    action: &'static str,
    actor: Actor,
    surface: Surface,
    roles: &'static [Role],
    relation: Relation,
    held: Held,
    pin: PinOf,
    disabled: bool,
    reason: bool,
    account_profile: Profile,
    message_profile: Profile,
    waiting: Option<Waiting>,
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn id<T>(make: fn([u8; 16]) -> T, index: u8) -> T {
    make([index; 16])
}

fn person() -> PersonId {
    id(PersonId::from_bytes, 1)
}

fn clinic() -> AccountId {
    id(AccountId::from_bytes, 2)
}

fn mailbox() -> MailboxId {
    id(MailboxId::from_bytes, 3)
}

fn message() -> MessageRef {
    MessageRef { account: clinic(), mailbox: mailbox(), message: id(MessageId::from_bytes, 4) }
}

fn telephone() -> DeviceId {
    id(DeviceId::from_bytes, 5)
}

const ROLES: [&[Role]; 9] = [
    &[],
    &[Role::User],
    &[Role::Supervisor],
    &[Role::MailboxAdmin],
    &[Role::SecurityAdmin],
    &[Role::Auditor],
    &[Role::Integration],
    &[Role::Emergency],
    &[Role::Supervisor, Role::MailboxAdmin],
];

fn actors() -> [Actor; 7] {
    [
        Actor::Person(person()),
        Actor::Person(id(PersonId::from_bytes, 99)),
        Actor::Operator { uid: 0 },
        RetentionRule::Deleted.actor(),
        RetentionRule::Quiet.actor(),
        Actor::Rule { id: "mail.forward", set_by: SetBy::Person(person()) },
        Actor::System,
    ]
}

fn waitings() -> [Option<Waiting>; 4] {
    let waiting = |rule, seconds| Some(Waiting { rule, remaining: Duration::from_secs(seconds) });
    [
        None,
        waiting(RetentionRule::Deleted, 0),
        waiting(RetentionRule::Deleted, 1),
        waiting(RetentionRule::Quiet, 0),
    ]
}

impl Case {
    fn facts(&self) -> Facts {
        let mut facts = Facts::new(NOW, self.surface).person(PersonFacts {
            person: person(),
            account: clinic(),
            disabled: self.disabled,
            roles: self.roles.iter().copied().collect(),
        });
        facts = match self.pin {
            PinOf::ThePerson => facts.pin_verified(person()),
            PinOf::Another => facts.pin_verified(id(PersonId::from_bytes, 98)),
            PinOf::Nobody => facts,
        };
        if let Some(device) = self.device() {
            facts = facts.device(device);
        }
        facts = facts.grants(self.grant());
        if self.relation == Relation::Unknown {
            return facts;
        }
        let account = match self.relation {
            Relation::OtherAccount => id(AccountId::from_bytes, 97),
            _ => clinic(),
        };
        let known = match self.relation {
            Relation::OtherObject => id(MailboxId::from_bytes, 96),
            _ => mailbox(),
        };
        let mut place = MessageRef { account, ..message() };
        match self.relation {
            Relation::Misplaced => place.mailbox = id(MailboxId::from_bytes, 95),
            Relation::OtherObject => place.message = id(MessageId::from_bytes, 94),
            _ => {}
        }
        facts
            .mailbox(MailboxFacts { mailbox: known, account, profile: self.account_profile })
            .message(MessageFacts {
                message: place,
                profile: self.message_profile,
                waiting: self.waiting,
            })
    }

    fn device(&self) -> Option<DeviceFacts> {
        let others = vec![id(PersonId::from_bytes, 93)];
        let bound = match self.held {
            Held::Nothing => return None,
            Held::BoundToMailbox => Binding::Mailbox(mailbox()),
            Held::BoundToAnotherMailbox => Binding::Mailbox(id(MailboxId::from_bytes, 92)),
            Held::BoundToOthers => Binding::Persons(others),
            _ => Binding::Persons(vec![id(PersonId::from_bytes, 93), person()]),
        };
        let account = match self.held {
            Held::OfAnotherAccount => id(AccountId::from_bytes, 91),
            _ => clinic(),
        };
        let device = match self.held {
            Held::AnotherDevice => id(DeviceId::from_bytes, 90),
            _ => telephone(),
        };
        Some(DeviceFacts { device, account, bound })
    }

    fn grant(&self) -> Option<GrantFacts> {
        let mut grant = GrantFacts {
            grant: id(GrantId::from_bytes, 6),
            person: person(),
            mailbox: mailbox(),
            kind: GrantKind::Owner,
            from: NOW,
            until: None,
        };
        let second = Timestamp::from_second(1).unwrap();
        match self.relation {
            Relation::Supervised => grant.kind = GrantKind::Supervisor,
            Relation::GrantEndsNow => {
                grant.from = Timestamp::from_second(-1).unwrap();
                grant.until = Some(NOW);
            }
            Relation::GrantBeginsLater => grant.from = second,
            Relation::GrantOfAnother => grant.person = id(PersonId::from_bytes, 89),
            Relation::GrantOnAnother => grant.mailbox = id(MailboxId::from_bytes, 88),
            Relation::NoGrant => return None,
            _ => grant.until = Some(second),
        }
        Some(grant)
    }

    fn ask<A: EitherProfile>(&self, object: A::Object) -> Result<&'static str, Denied> {
        let mut request = Request::<A>::new(self.actor, object.clone());
        if self.held != Held::Nothing {
            request = request.device(telephone());
        }
        if self.reason {
            request = request.reason(Reason::new("asked by the patient").unwrap());
        }
        let permit = authorise(&request, &self.facts())?;
        assert_eq!(permit.actor(), self.actor);
        assert_eq!(format!("{:?}", permit.object()), format!("{object:?}"));
        Ok(permit.grounds().rule)
    }

    fn decided(&self) -> Result<&'static str, Denied> {
        match self.action {
            "open-mailbox" => self.ask::<OpenMailbox>(mailbox()),
            "listen" => self.ask::<Listen>(message()),
            "save" => self.ask::<Save>(message()),
            "delete" => self.ask::<Delete>(message()),
            "undelete" => self.ask::<Undelete>(message()),
            "export" => self.ask::<Export>(message()),
            "reveal" => self.ask::<Reveal>(message()),
            "destroy" => self.ask::<Destroy>(message()),
            "list-mailbox" => self.ask::<ListMailbox>(Some(mailbox())),
            "list-everything" => self.ask::<ListMailbox>(None),
            action => panic!("{action}"),
        }
    }

    /// Who may do what.
    fn stated(&self) -> bool {
        let about_mailbox = matches!(self.action, "open-mailbox" | "list-mailbox");
        let object_is_there = match self.relation {
            Relation::OtherObject | Relation::Unknown => false,
            Relation::Misplaced | Relation::OtherAccount => about_mailbox,
            _ => true,
        };
        let hipaa =
            self.account_profile == Profile::Hipaa || self.message_profile == Profile::Hipaa;
        // An enabled person, without an administrative role, of the object's account, who gave their PIN.
        let person = self.actor == Actor::Person(person())
            && !self.disabled
            && self
                .roles
                .iter()
                .all(|role| matches!(role, Role::User | Role::Supervisor | Role::Emergency))
            && self.relation != Relation::OtherAccount
            && self.pin == PinOf::ThePerson;
        // Misplaced is about the message: the mailbox itself is the person's own.
        let owner = matches!(self.relation, Relation::Own | Relation::Misplaced);
        let granted = owner || self.relation == Relation::Supervised;
        let telephone = matches!(self.held, Held::BoundToPerson | Held::BoundToMailbox);
        let phone = match self.surface {
            Surface::Phone => person && telephone,
            Surface::LabPhone => person && telephone && !hipaa,
            Surface::Operator | Surface::Service => false,
        };
        let command = self.surface == Surface::Operator && person;
        let operator =
            self.surface == Surface::Operator && matches!(self.actor, Actor::Operator { .. });
        let due = self.waiting.is_some_and(|waiting| {
            waiting.remaining.is_zero() && self.actor == waiting.rule.actor()
        });
        match self.action {
            "list-everything" => operator,
            "list-mailbox" => object_is_there && (operator || (command && granted)),
            "open-mailbox" | "listen" | "save" => object_is_there && phone && granted,
            "delete" | "undelete" => object_is_there && phone && owner,
            "reveal" => object_is_there && command && granted && self.reason,
            "export" => {
                object_is_there
                    && command
                    && self.relation == Relation::Supervised
                    && self.roles.contains(&Role::Supervisor)
                    && self.reason
            }
            "destroy" => object_is_there && self.surface == Surface::Service && due,
            action => panic!("{action}"),
        }
    }
}

fn walk(cases: impl Iterator<Item = Case>) {
    let mut allowed: BTreeMap<&str, u64> = BTreeMap::new();
    for case in cases {
        let decided = case.decided();
        assert_eq!(decided.is_ok(), case.stated(), "{case:?}: {decided:?}");
        *allowed.entry(case.action).or_default() += u64::from(decided.is_ok());
    }
    assert_eq!(allowed.len(), ACTIONS.len());
    assert!(allowed.values().all(|count| *count > 0), "something is never allowed: {allowed:?}");
}

#[test]
fn who_may_do_what_is_what_is_stated_for_every_role_object_surface_and_factor() {
    let mut cases = Vec::new();
    for action in ACTIONS {
        for actor in actors() {
            for surface in SURFACES {
                for roles in ROLES {
                    for relation in RELATIONS {
                        for held in HELD {
                            for pin in [PinOf::ThePerson, PinOf::Another, PinOf::Nobody] {
                                cases.push(Case {
                                    action,
                                    actor,
                                    surface,
                                    roles,
                                    relation,
                                    held,
                                    pin,
                                    disabled: false,
                                    reason: true,
                                    account_profile: Profile::Standard,
                                    message_profile: Profile::Standard,
                                    waiting: waitings()[1],
                                });
                            }
                        }
                    }
                }
            }
        }
    }
    walk(cases.into_iter());
}

#[test]
fn who_may_do_what_is_what_is_stated_for_every_profile_reason_and_retention() {
    let mut cases = Vec::new();
    for action in ACTIONS {
        for actor in actors() {
            for surface in SURFACES {
                for roles in [&[][..], &[Role::Supervisor]] {
                    for relation in [Relation::Own, Relation::Supervised, Relation::NoGrant] {
                        for held in [Held::BoundToPerson, Held::Nothing] {
                            for (disabled, reason) in
                                [(false, true), (false, false), (true, true), (true, false)]
                            {
                                for account_profile in PROFILES {
                                    for message_profile in PROFILES {
                                        for waiting in waitings() {
                                            cases.push(Case {
                                                action,
                                                actor,
                                                surface,
                                                roles,
                                                relation,
                                                held,
                                                pin: PinOf::ThePerson,
                                                disabled,
                                                reason,
                                                account_profile,
                                                message_profile,
                                                waiting,
                                            });
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    walk(cases.into_iter());
}

/// One case of somebody who may, to be varied.
fn owner_at_the_phone() -> Case {
    Case {
        action: "listen",
        actor: Actor::Person(person()),
        surface: Surface::Phone,
        roles: &[Role::User],
        relation: Relation::Own,
        held: Held::BoundToPerson,
        pin: PinOf::ThePerson,
        disabled: false,
        reason: false,
        account_profile: Profile::Hipaa,
        message_profile: Profile::Hipaa,
        waiting: None,
    }
}

#[test]
fn both_factors_are_asked_for_on_standard_too() {
    for profile in PROFILES {
        let both =
            Case { account_profile: profile, message_profile: profile, ..owner_at_the_phone() };
        assert_eq!(both.decided(), Ok("access.hear"));
        let no_pin = Case { pin: PinOf::Nobody, ..both.clone() };
        assert_eq!(no_pin.decided(), Err(Denied::PinMissing));
        let no_device = Case { held: Held::Nothing, ..both };
        assert_eq!(no_device.decided(), Err(Denied::SecondFactorMissing));
    }
}

#[test]
fn whether_factors_could_suffice_is_known_before_the_pin() {
    let request =
        Request::<OpenMailbox>::new(Actor::Person(person()), mailbox()).device(telephone());
    let before = Case { pin: PinOf::Nobody, ..owner_at_the_phone() };
    assert_eq!(could_authorise(&request, &before.facts()), Ok(()));
    assert_eq!(authorise(&request, &before.facts()).err(), Some(Denied::PinMissing));
    let elsewhere = Case { held: Held::BoundToOthers, ..before.clone() };
    assert_eq!(could_authorise(&request, &elsewhere.facts()), Err(Denied::SecondFactorMissing));
    let nothing = Case { relation: Relation::NoGrant, ..before };
    assert_eq!(could_authorise(&request, &nothing.facts()), Err(Denied::NoGrant));
}

/// hipaa-controls 1.1: id guessing answers as "does not exist" whatever is guessed right.
#[test]
fn an_object_that_is_not_the_one_looked_up_does_not_exist() {
    for relation in [Relation::Misplaced, Relation::OtherObject, Relation::Unknown] {
        let guess = Case { relation, ..owner_at_the_phone() };
        assert_eq!(guess.decided(), Err(Denied::UnknownObject), "{relation:?}");
    }
}

#[test]
fn a_grant_denies_at_the_second_it_expires() {
    let ended = Case { relation: Relation::GrantEndsNow, ..owner_at_the_phone() };
    assert_eq!(ended.decided(), Err(Denied::NoGrant));
}

#[test]
fn nothing_of_a_hipaa_account_or_message_exists_on_a_lab_listener() {
    for (account_profile, message_profile) in [
        (Profile::Hipaa, Profile::Hipaa),
        (Profile::Hipaa, Profile::Standard),
        (Profile::Standard, Profile::Hipaa),
    ] {
        let lab = Case {
            surface: Surface::LabPhone,
            account_profile,
            message_profile,
            ..owner_at_the_phone()
        };
        assert_eq!(lab.decided(), Err(Denied::ProfileForbids));
    }
}

/// Only the stricter of account and message decides, and what is unknown is strict.
#[test]
fn the_witness_of_standard_needs_account_and_message() {
    for account_profile in PROFILES {
        for message_profile in PROFILES {
            let facts = Case { account_profile, message_profile, ..owner_at_the_phone() }.facts();
            let both = account_profile == Profile::Standard && message_profile == Profile::Standard;
            assert_eq!(matches!(facts.strictness(), Strictness::Standard(_)), both);
        }
    }
    let account_alone = Facts::new(NOW, Surface::Service).mailbox(MailboxFacts {
        mailbox: mailbox(),
        account: clinic(),
        profile: Profile::Standard,
    });
    assert!(matches!(account_alone.strictness(), Strictness::Hipaa(_)));
}

/// What `standard` may have one day is in no line of the table yet.
#[test]
fn nobody_transcribes_or_mails_audio_in_this_build() {
    for actor in actors() {
        for surface in SURFACES {
            let case = Case {
                actor,
                surface,
                account_profile: Profile::Standard,
                message_profile: Profile::Standard,
                ..owner_at_the_phone()
            };
            let facts = case.facts();
            let Strictness::Standard(standard) = facts.strictness() else {
                panic!("standard was expected");
            };
            let text = Request::<Transcribe>::new(actor, message());
            assert_eq!(authorise_on_standard(&text, &standard).err(), Some(Denied::NoRule));
            let mail = Request::<EmailAudio>::new(actor, message());
            assert_eq!(authorise_on_standard(&mail, &standard).err(), Some(Denied::NoRule));
        }
    }
}

#[test]
fn a_permit_says_on_what_it_stands() {
    let case = owner_at_the_phone();
    let request = Request::<Listen>::new(case.actor, message()).device(telephone());
    let permit = authorise(&request, &case.facts()).unwrap();
    let (grounds, object) = permit.into_parts();
    assert_eq!(object, message());
    assert_eq!(grounds.account, Some(clinic()));
    assert_eq!(grounds.mailbox, Some(mailbox()));
    assert_eq!(grounds.message, Some(message().message));
    assert_eq!(grounds.device, Some(telephone()));
    assert_eq!(grounds.profile, Some(Profile::Hipaa));
    assert_eq!(grounds.rule, "access.hear");
}

#[test]
fn a_listing_of_everything_names_no_mailbox() {
    let case = Case { surface: Surface::Operator, ..owner_at_the_phone() };
    let request = Request::<ListMailbox>::new(Actor::Operator { uid: 1000 }, None).uid(1000);
    let permit = authorise(&request, &case.facts()).unwrap();
    assert_eq!((permit.grounds().mailbox, permit.grounds().uid), (None, Some(1000)));
}

#[test]
fn every_refusal_names_its_rule() {
    let denied = [
        Denied::NoRule,
        Denied::UnknownPerson,
        Denied::Disabled,
        Denied::AdministrativeRole,
        Denied::RoleMissing,
        Denied::PinMissing,
        Denied::SecondFactorMissing,
        Denied::NoGrant,
        Denied::UnknownObject,
        Denied::OtherAccount,
        Denied::ReasonMissing,
        Denied::ProfileForbids,
        Denied::NotDue,
    ];
    let rules: BTreeSet<_> = denied.iter().map(|denied| denied.rule()).collect();
    assert_eq!(rules.len(), denied.len());
}
