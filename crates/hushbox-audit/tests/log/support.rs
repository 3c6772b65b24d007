//! A log of every kind of record, with its permits made as a server makes them.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use hushbox_audit::{
    Batch, Detail, Durable, Event, EventExtra, EventName, Hash, Log, Outcome, Resume,
    SegmentHeader, Who,
};
use hushbox_policy::retention::{RetentionRule, Waiting};
use hushbox_policy::{
    AccountId, Actor, Binding, CallId, ChangeDirectory, Destroy, DeviceFacts, DeviceId,
    EitherProfile, Facts, GrantFacts, GrantId, GrantKind, ListDirectory, ListMailbox, MailboxFacts,
    MailboxId, MessageFacts, MessageId, MessageRef, NodeId, Now, Permit, PersonFacts, PersonId,
    Profile, Reason, RecordKind, RecordRef, Request, Role, SessionId, Surface, TrunkId, authorise,
};
use jiff::Timestamp;

pub(crate) fn id<T>(make: fn([u8; 16]) -> T, index: u8) -> T {
    make([index; 16])
}

pub(crate) fn node() -> NodeId {
    id(NodeId::from_bytes, 1)
}

pub(crate) fn message() -> MessageRef {
    MessageRef {
        account: id(AccountId::from_bytes, 2),
        mailbox: id(MailboxId::from_bytes, 3),
        message: id(MessageId::from_bytes, 4),
    }
}

pub(crate) fn person() -> PersonId {
    id(PersonId::from_bytes, 5)
}

pub(crate) fn device() -> DeviceId {
    id(DeviceId::from_bytes, 6)
}

/// So many seconds after the server's start, at the same date in every run.
pub(crate) fn at(seconds: u64) -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let passed = Duration::from_secs(seconds);
    Now {
        monotonic: *START.get_or_init(Instant::now) + passed,
        utc: "2026-03-04T05:06:07.890123Z".parse::<Timestamp>().unwrap() + passed,
    }
}

pub(crate) fn log() -> Log {
    Log::new(node(), Resume::default(), at(0))
}

fn facts(surface: Surface, kind: GrantKind) -> Facts {
    let MessageRef { account, mailbox, .. } = message();
    Facts::new(at(0).utc, surface)
        .person(PersonFacts {
            person: person(),
            account,
            disabled: false,
            roles: BTreeSet::from([Role::Supervisor]),
        })
        .pin_verified(person())
        .device(DeviceFacts { device: device(), account, bound: Binding::Persons(vec![person()]) })
        .grants([GrantFacts {
            grant: id(GrantId::from_bytes, 7),
            person: person(),
            mailbox,
            kind,
            from: Timestamp::UNIX_EPOCH,
            until: None,
        }])
        .mailbox(MailboxFacts { mailbox, account, profile: Profile::Hipaa })
        .message(MessageFacts {
            message: message(),
            profile: Profile::Hipaa,
            waiting: Some(Waiting { rule: RetentionRule::Quiet, remaining: Duration::ZERO }),
        })
}

/// A permit of the owner at the phone, or of a supervisor at the command line.
pub(crate) fn permit<A: EitherProfile>(surface: Surface, object: A::Object) -> Permit<A> {
    let kind = match surface {
        Surface::Operator => GrantKind::Supervisor,
        _ => GrantKind::Owner,
    };
    let request = Request::<A>::new(Actor::Person(person()), object)
        .device(device())
        .session(id(SessionId::from_bytes, 8))
        .uid(1000)
        .reason(Reason::new("complaint 4411").unwrap());
    authorise(&request, &facts(surface, kind)).unwrap()
}

/// A permit to list everything, of a command without `--as`.
pub(crate) fn listing() -> Permit<ListMailbox> {
    let request = Request::new(Actor::Operator { uid: 1000 }, None).uid(1000);
    authorise(&request, &facts(Surface::Operator, GrantKind::Owner)).unwrap()
}

/// A permit of a security-admin to change a record of their account.
pub(crate) fn change() -> Permit<ChangeDirectory> {
    let MessageRef { account, mailbox, .. } = message();
    let record =
        RecordRef { kind: RecordKind::Mailbox, id: mailbox.as_uuid(), account: Some(account) };
    let facts = Facts::new(at(0).utc, Surface::Operator)
        .person(PersonFacts {
            person: person(),
            account,
            disabled: false,
            roles: BTreeSet::from([Role::SecurityAdmin]),
        })
        .pin_verified(person());
    let request = Request::new(Actor::Person(person()), record).uid(1000);
    authorise(&request, &facts).unwrap()
}

/// A permit to list records, of a command without `--as`.
pub(crate) fn directory_listing() -> Permit<ListDirectory> {
    let request = Request::new(Actor::Operator { uid: 1000 }, RecordKind::Person).uid(1000);
    authorise(&request, &Facts::new(at(0).utc, Surface::Operator)).unwrap()
}

/// A permit of a retention rule.
pub(crate) fn destruction() -> Permit<Destroy> {
    let request = Request::new(RetentionRule::Quiet.actor(), message());
    authorise(&request, &facts(Surface::Service, GrantKind::Owner)).unwrap()
}

pub(crate) fn extra() -> EventExtra {
    EventExtra {
        call: Some(id(CallId::from_bytes, 9)),
        detail: Detail::new().with("manifest", Hash::of(b"manifest")),
    }
}

/// An event with every field, and every kind of detail.
pub(crate) fn full_event() -> Event {
    let MessageRef { account, mailbox, message } = message();
    Event {
        outcome: Outcome::Refused,
        account: Some(account),
        mailbox: Some(mailbox),
        message: Some(message),
        device: Some(device()),
        trunk: Some(id(TrunkId::from_bytes, 10)),
        session: Some(id(SessionId::from_bytes, 8)),
        call: Some(id(CallId::from_bytes, 9)),
        uid: Some(1000),
        rule: Some("access.grant".into()),
        reason: Some(Reason::new("complaint 4411").unwrap()),
        detail: Detail::new()
            .with("tries", 3_u32)
            .with("bound", true)
            .with("hash", Hash::of(b"x"))
            .with("grant", id(GrantId::from_bytes, 7).as_uuid())
            .with("end", "caller-hung-up"),
        ..Event::new(EventName::AccessRefused, Who::Stranger)
    }
}

pub(crate) fn header(batch: &Batch) -> [u8; 64] {
    SegmentHeader { node: node(), from: batch.from() }.to_bytes()
}

/// The batch as a segment on a disk that never fails.
pub(crate) fn written(log: &mut Log, segment: &mut Vec<u8>) -> Durable {
    let batch = log.take_batch().unwrap();
    if segment.is_empty() {
        segment.extend_from_slice(&header(&batch));
    }
    segment.extend_from_slice(batch.bytes());
    batch.synced()
}

/// A segment of a few records of different kinds.
pub(crate) fn segment() -> Vec<u8> {
    let mut log = log();
    let mut segment = Vec::new();
    log.append_event(at(0), Event::new(EventName::ServiceStart, Who::System));
    drop(log.append(at(1), listing(), EventExtra::default()));
    drop(log.append(at(2), destruction(), EventExtra::default()));
    let rule = Who::Rule { id: "mail.notice".into(), set_by: Some(person()) };
    log.append_event(at(3), Event::new(EventName::FeatureRefused, rule));
    log.append_event(at(4), full_event());
    drop(log.append(at(5), permit::<hushbox_policy::Listen>(Surface::Phone, message()), extra()));
    written(&mut log, &mut segment);
    log.append_event(at(6), Event::new(EventName::ServiceStop, Who::System));
    written(&mut log, &mut segment);
    segment
}

/// The frames of a segment, each with its length and hash.
pub(crate) fn frames(segment: &[u8]) -> Vec<&[u8]> {
    let mut rest = &segment[64..];
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let (frame, behind) = rest.split_at(length + 36);
        frames.push(frame);
        rest = behind;
    }
    frames
}
