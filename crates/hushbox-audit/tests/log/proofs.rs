//! A permit becomes a proof only by a record that is on disk.

use super::support::{at, frames, id, log, message, node, permit, person, written};
use hushbox_audit::{
    AuditReply, AuditRequest, Event, EventExtra, EventName, Log, Outcome, Record, Resume, Who,
    verify,
};
use hushbox_policy::{
    Actor, Delete, Export, ListMailbox, Listen, OpenMailbox, Reveal, Save, Surface, Undelete,
};

#[test]
fn a_proof_has_the_object_and_the_actor_of_its_permit() {
    let mut log = log();
    let pending =
        log.append(at(1), permit::<Listen>(Surface::Phone, message()), super::support::extra());
    let durable = written(&mut log, &mut Vec::new());
    let authorised = pending.confirmed(&durable).unwrap();
    assert_eq!(authorised.object(), &message());
    assert_eq!(authorised.actor(), Actor::Person(person()));
    assert_eq!((authorised.position().seq(), authorised.at()), (0, at(1).utc));
}

#[test]
fn what_is_not_synced_is_not_confirmed() {
    let mut log = log();
    let first =
        log.append(at(1), permit::<Listen>(Surface::Phone, message()), EventExtra::default());
    let earlier = written(&mut log, &mut Vec::new());
    let second =
        log.append(at(2), permit::<Listen>(Surface::Phone, message()), EventExtra::default());
    let second = second.confirmed(&earlier).unwrap_err();
    let later = written(&mut log, &mut Vec::new());
    // A later batch says nothing about the one before it.
    let first = first.confirmed(&later).unwrap_err();
    assert!(first.confirmed(&earlier).is_ok());
    assert!(second.confirmed(&later).is_ok());
}

#[test]
fn a_log_of_another_node_confirms_nothing() {
    let mut log = log();
    let mut other = Log::new(id(hushbox_policy::NodeId::from_bytes, 77), Resume::default(), at(0));
    let pending =
        log.append(at(1), permit::<Listen>(Surface::Phone, message()), EventExtra::default());
    other.append_event(at(1), Event::new(EventName::CallIn, Who::Stranger));
    let durable = other.take_batch().unwrap().synced();
    assert!(pending.confirmed(&durable).is_err());
}

#[test]
fn a_batch_that_was_taken_back_is_never_confirmed() {
    let mut log = log();
    let mut segment = Vec::new();
    log.append_event(at(0), Event::new(EventName::ServiceStart, Who::System));
    written(&mut log, &mut segment);
    let lost =
        log.append(at(1), permit::<Listen>(Surface::Phone, message()), EventExtra::default());
    let full = log.take_batch().unwrap();
    let behind =
        log.append(at(2), permit::<Listen>(Surface::Phone, message()), EventExtra::default());
    log.rollback(full);
    assert!(log.take_batch().is_none(), "what was appended behind it is gone with it");
    let again =
        log.append(at(3), permit::<Listen>(Surface::Phone, message()), EventExtra::default());
    assert_eq!(again.position().seq(), lost.position().seq());
    let durable = written(&mut log, &mut segment);
    assert!(lost.confirmed(&durable).is_err());
    assert!(behind.confirmed(&durable).is_err());
    assert!(again.confirmed(&durable).is_ok());
    assert_eq!(verify([segment]).unwrap().count, 2);
}

/// hipaa-controls 1.6: exactly one primary event for each action, with its required fields.
#[test]
fn every_action_is_one_event_with_who_what_and_where() {
    let requests: [(AuditRequest, EventName); 8] = [
        (permit::<OpenMailbox>(Surface::Phone, message().mailbox).into(), EventName::SessionStart),
        (permit::<Listen>(Surface::Phone, message()).into(), EventName::MsgPlayStart),
        (permit::<Save>(Surface::Phone, message()).into(), EventName::MsgFlag),
        (permit::<Delete>(Surface::Phone, message()).into(), EventName::MsgDelete),
        (permit::<Undelete>(Surface::Phone, message()).into(), EventName::MsgRestore),
        (permit::<Export>(Surface::Operator, message()).into(), EventName::MsgDownload),
        (permit::<Reveal>(Surface::Operator, message()).into(), EventName::MsgReveal),
        (
            permit::<ListMailbox>(Surface::Operator, Some(message().mailbox)).into(),
            EventName::MsgList,
        ),
    ];
    for (request, name) in requests {
        assert!(name.needs_permit());
        let mut log = log();
        let mut segment = Vec::new();
        let pending = log.submit(at(1), request, super::support::extra());
        let durable = written(&mut log, &mut segment);
        assert!(pending.confirmed(&durable).is_ok());
        let frames = frames(&segment);
        assert_eq!(frames.len(), 1);
        let record = Record::from_bytes(&frames[0][4..frames[0].len() - 32]).unwrap();
        assert_eq!((record.event.name, record.event.outcome), (name, Outcome::Done));
        assert_eq!(record.event.who, Who::Person(person()));
        assert_eq!(record.event.mailbox, Some(message().mailbox), "{name}");
        assert_eq!(record.event.account, Some(message().account), "{name}");
        assert_eq!((record.event.uid, record.node), (Some(1000), node()));
        assert!(record.event.rule.is_some() && record.event.device.is_some());
        assert!(record.event.session.is_some() && record.event.call.is_some());
    }
}

#[test]
fn a_rule_and_an_operator_are_written_down_as_such() {
    let written = |request: AuditRequest| {
        let mut log = log();
        let mut segment = Vec::new();
        let pending = log.submit(at(1), request, EventExtra::default());
        assert!(pending.confirmed(&written(&mut log, &mut segment)).is_ok());
        let frame = frames(&segment)[0];
        Record::from_bytes(&frame[4..frame.len() - 32]).unwrap().event
    };
    let purge = written(super::support::destruction().into());
    assert_eq!(purge.name, EventName::MsgPurge);
    assert_eq!(purge.who, Who::Rule { id: "retention.quiet".into(), set_by: None });
    assert_eq!(purge.message, Some(message().message));
    let list = written(super::support::listing().into());
    assert_eq!((list.name, list.mailbox), (EventName::MsgList, None));
    assert_eq!(list.who, Who::Operator { uid: 1000 });
    let change = written(super::support::change().into());
    assert_eq!((change.name, change.who), (EventName::DirectoryChange, Who::Person(person())));
    assert_eq!((change.account, change.mailbox), (Some(message().account), None));
    assert_eq!((change.uid, change.rule.as_deref()), (Some(1000), Some("access.administer")));
    let list = written(super::support::directory_listing().into());
    assert_eq!((list.name, list.who), (EventName::DirectoryList, Who::Operator { uid: 1000 }));
}

#[test]
fn an_event_is_answered_like_a_permit() {
    let mut log = log();
    let event = Event::new(EventName::AuthFail, Who::Stranger);
    let pending = log.submit(at(1), event.into(), EventExtra::default());
    let durable = written(&mut log, &mut Vec::new());
    assert!(matches!(pending.confirmed(&durable), Ok(AuditReply::Event)));
}

/// hipaa-controls 1.2: no record of an access without its actor.
#[test]
#[should_panic(expected = "msg.play.start is written with its permit")]
fn an_access_cannot_be_written_down_without_its_permit() {
    log().append_event(at(1), Event::new(EventName::MsgPlayStart, Who::Stranger));
}
