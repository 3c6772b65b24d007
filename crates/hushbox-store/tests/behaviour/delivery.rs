//! Delivery against a world that forgets, fails and crashes at every step: every saved message appears once, whole,
//! with one audit record, and never before that record.

use std::collections::{BTreeMap, BTreeSet};

use hushbox_audit::{EventName, Record as AuditRecord};
use hushbox_policy::MessageId;
use hushbox_store::spool::{Record, RecordKind, Scan, frame, segment_header};
use hushbox_store::{
    Audited, Delivery, EndKind, Manifest, MessageRow, MessageState, ObjectKey, Recovery, Step,
    StepDone,
};
use proptest::prelude::*;

use crate::support::{Installation, MAILBOX, NODE, message, recorded, spooled, start, utc};

/// What is on disk, as a simple reference.
#[derive(Default)]
struct World {
    spool: Vec<Record>,
    objects: BTreeMap<ObjectKey, Vec<u8>>,
    audit: Vec<AuditRecord>,
    index: BTreeMap<MessageId, MessageRow>,
}

impl World {
    fn audited(&self) -> BTreeMap<MessageId, Audited> {
        self.audit.iter().filter_map(Audited::in_record).collect()
    }

    /// What a start does: everything in the spool is delivered, or goes on being delivered.
    fn recover(&self, installation: &Installation) -> Vec<Delivery> {
        let mut segment = segment_header(1).to_vec();
        self.spool.iter().for_each(|record| frame(1, record, &mut segment));
        let mut recovery = Recovery::new();
        Scan::new(segment.into()).unwrap().for_each(|record| recovery.record(&record));
        let audited = self.audited();
        let messages = recovery.finish().messages.into_iter();
        messages
            .map(|message| {
                let known = audited.get(&message.message()).copied();
                Delivery::new(message, NODE, &installation.node, known).unwrap()
            })
            .collect()
    }

    /// Does a step, as the shell would.
    fn run(&mut self, step: Step) -> Option<StepDone> {
        match step {
            Step::PutObject { key, bytes } => {
                self.objects.insert(key, bytes.to_vec());
                Some(StepDone::ObjectPut)
            }
            Step::Audit(event) => {
                let seq = u64::try_from(self.audit.len()).unwrap();
                self.audit.push(AuditRecord {
                    seq,
                    utc: utc(),
                    monotonic_ms: 0,
                    node: NODE,
                    prev: hushbox_audit::Hash::ZERO,
                    event: *event,
                });
                Some(StepDone::Audited { seq })
            }
            Step::InsertRow(row) => {
                let known = self.audited();
                let audited = known.get(&row.id).expect("a row appears after its record");
                assert_eq!(audited.manifest, row.manifest.hash());
                assert_eq!(audited.seq, row.audit_seq);
                assert!(self.objects.contains_key(&row.object_key), "and after its object");
                self.index.entry(row.id).or_insert(*row);
                Some(StepDone::RowInserted)
            }
            Step::FreeSpool(message) => {
                self.spool.push(Record::delivered(message));
                Some(StepDone::SpoolFreed)
            }
            Step::Quarantined { .. } | Step::Done => None,
        }
    }

    fn finished_records(&self, message: MessageId) -> usize {
        self.audit
            .iter()
            .filter(|record| record.event.name == EventName::RecordFinish)
            .filter(|record| record.event.message == Some(message))
            .count()
    }
}

#[derive(Clone, Debug)]
enum Action {
    /// A delivery does its step and hears that it was done.
    Step(prop::sample::Index),
    /// The step fails: nothing happens.
    Fail(prop::sample::Index),
    /// The step is done and the server dies before it knows.
    StepAndCrash(prop::sample::Index),
    /// The server dies.
    Crash,
    /// Somebody hears a message that is there.
    Hear(prop::sample::Index),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => any::<prop::sample::Index>().prop_map(Action::Step),
        1 => any::<prop::sample::Index>().prop_map(Action::Fail),
        2 => any::<prop::sample::Index>().prop_map(Action::StepAndCrash),
        1 => Just(Action::Crash),
        1 => any::<prop::sample::Index>().prop_map(Action::Hear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_message_appears_once_whatever_crashes(
        lengths in proptest::collection::vec((0..4_u64, 0..4_usize), 1..4),
        actions in proptest::collection::vec(action(), 0..40),
    ) {
        let installation = Installation::new();
        let mut world = World::default();
        let mut expected = BTreeMap::new();
        for (byte, (seconds, missing)) in (1..).zip(lengths) {
            // The end of some recordings never reached the disk.
            let mut records =
                recorded(&start(byte, MAILBOX, installation.public_key(MAILBOX)), seconds);
            records.truncate(records.len() - missing.min(records.len()));
            let sounds = |record: &Record| matches!(record.kind, RecordKind::Chunk | RecordKind::Last);
            if records.iter().any(sounds) {
                let spooled = spooled(&records);
                expected.insert(message(byte), (spooled.object().to_vec(), spooled.last.is_none()));
            }
            world.spool.extend(records);
        }

        let mut deliveries = world.recover(&installation);
        let mut heard = BTreeSet::new();
        for action in actions {
            match action {
                Action::Step(which) | Action::StepAndCrash(which) if !deliveries.is_empty() => {
                    let delivery = which.index(deliveries.len());
                    let done = world.run(deliveries[delivery].poll_step());
                    if matches!(action, Action::StepAndCrash(_)) {
                        deliveries = world.recover(&installation);
                    } else if let Some(done) = done {
                        deliveries[delivery].handle(done);
                    }
                }
                Action::Fail(which) if !deliveries.is_empty() => {
                    let delivery = &deliveries[which.index(deliveries.len())];
                    prop_assert_eq!(
                        std::mem::discriminant(&delivery.poll_step()),
                        std::mem::discriminant(&delivery.poll_step())
                    );
                }
                Action::Crash => deliveries = world.recover(&installation),
                Action::Hear(which) if !world.index.is_empty() => {
                    let at = which.index(world.index.len());
                    let row = world.index.values_mut().nth(at).expect("in range");
                    row.state = MessageState::Heard;
                    heard.insert(row.id);
                }
                _ => {}
            }
        }
        // At last nothing fails any more.
        deliveries = world.recover(&installation);
        for delivery in &mut deliveries {
            while let Some(done) = world.run(delivery.poll_step()) {
                delivery.handle(done);
            }
            prop_assert_eq!(delivery.poll_step(), Step::Done);
        }

        prop_assert!(world.recover(&installation).is_empty(), "the spool is free");
        prop_assert_eq!(world.index.len(), expected.len());
        prop_assert_eq!(world.objects.len(), expected.len());
        for (id, (object, truncated)) in expected {
            let row = &world.index[&id];
            prop_assert_eq!(world.finished_records(id), 1);
            prop_assert_eq!(&world.objects[&row.object_key], &object);
            prop_assert_eq!(row.truncated, truncated);
            let state = if heard.contains(&id) { MessageState::Heard } else { MessageState::New };
            prop_assert_eq!(row.state, state, "a second delivery does not make it new again");
        }
    }
}

#[test]
fn news_of_another_step_change_nothing() {
    let installation = Installation::new();
    let records = recorded(&start(1, MAILBOX, installation.public_key(MAILBOX)), 2);
    let mut delivery = Delivery::new(spooled(&records), NODE, &installation.node, None).unwrap();
    for done in [StepDone::Audited { seq: 1 }, StepDone::RowInserted, StepDone::SpoolFreed] {
        delivery.handle(done);
        assert!(matches!(delivery.poll_step(), Step::PutObject { .. }));
    }
}

#[test]
fn the_audit_record_says_how_the_message_ended_and_what_its_manifest_is() {
    let installation = Installation::new();
    let records = recorded(&start(1, MAILBOX, installation.public_key(MAILBOX)), 2);
    let mut delivery = Delivery::new(spooled(&records), NODE, &installation.node, None).unwrap();
    delivery.handle(StepDone::ObjectPut);
    let Step::Audit(event) = delivery.poll_step() else { panic!("the record comes next") };
    assert_eq!(event.name, EventName::RecordFinish);
    assert_eq!((event.mailbox, event.message), (Some(MAILBOX), Some(message(1))));
    let said: Vec<String> =
        event.detail.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let hash = delivery.manifest().hash();
    assert_eq!(
        said,
        [
            "chunks=3",
            "damaged=false",
            "end=caller-hung-up",
            &format!("manifest={hash}"),
            "profile=hipaa",
            "quiet=false",
            "sample_rate=8000",
            "samples=16000",
            "truncated=false",
        ]
    );
}

#[test]
fn a_message_that_the_audit_log_knows_as_another_one_is_quarantined() {
    let installation = Installation::new();
    let records = recorded(&start(1, MAILBOX, installation.public_key(MAILBOX)), 3);
    let whole = Delivery::new(spooled(&records), NODE, &installation.node, None).unwrap();
    let known = Audited { seq: 5, manifest: whole.manifest().hash() };

    // The end of it is gone from the spool, though the log knows it as finished.
    let cut = spooled(&records[..3]);
    let mut delivery = Delivery::new(cut, NODE, &installation.node, Some(known)).unwrap();
    let Step::Audit(event) = delivery.poll_step() else { panic!("it is written down") };
    assert_eq!(event.name, EventName::MsgQuarantine);
    delivery.handle(StepDone::Audited { seq: 6 });
    let Step::Quarantined { message: id, audited, spooled } = delivery.poll_step() else {
        panic!("nothing of it is stored, and the object that may be there stays as it is")
    };
    assert_eq!((id, audited), (message(1), known.manifest));
    assert_ne!(spooled, audited);
    for done in [StepDone::ObjectPut, StepDone::RowInserted, StepDone::SpoolFreed] {
        delivery.handle(done);
        assert!(matches!(delivery.poll_step(), Step::Quarantined { .. }), "and it is kept");
    }
}

#[test]
fn a_saved_message_that_was_damaged_is_delivered_as_truncated_and_said_to_be_damaged() {
    let installation = Installation::new();
    let mut records = recorded(&start(1, MAILBOX, installation.public_key(MAILBOX)), 3);
    records.remove(3);
    let mut delivery = Delivery::new(spooled(&records), NODE, &installation.node, None).unwrap();
    let manifest: &Manifest = delivery.manifest();
    assert_eq!((manifest.end, manifest.truncated), (EndKind::Truncated, true));
    assert_eq!(manifest.samples, 16_000);
    delivery.handle(StepDone::ObjectPut);
    let Step::Audit(event) = delivery.poll_step() else { panic!("the record comes next") };
    assert_eq!(event.detail.value("damaged").map(ToString::to_string).as_deref(), Some("true"));
}
