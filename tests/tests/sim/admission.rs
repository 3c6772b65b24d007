//! Who is let in when there are too many: those who are in are not touched, and what is refused costs one answer.

use std::time::Duration;

use hushbox_audit::EventName;
use hushbox_call::signalling::{Admission, Why};
use hushbox_sip::rate::Allowance;
use hushbox_tests::world::World;
use hushbox_tests::world::installation::Installation;

use crate::support::{GCM, SECOND, beep, bye, call, hears, leave, pbx, press, telephone, voice};

const ONE: &str = "sip:1001@clinic.example";

fn world(admission: Admission) -> World {
    let mut installation = Installation::new();
    installation.admission = admission;
    World::on(installation)
}

/// Four calls, one of them kept for those who hear messages.
fn small() -> World {
    world(Admission { calls_max: 4, retrieval_reserved_percent: 25, deposits_per_caller: None })
}

#[test]
fn at_ten_times_the_calls_those_admitted_are_recorded_whole_and_the_others_cost_one_answer_each() {
    let mut world = small();
    let admitted: Vec<_> = (0..3).map(|_| pbx(&mut world)).collect();
    for caller in &admitted {
        assert_eq!(call(&mut world, *caller, ONE, GCM), 200);
    }
    world.run_for(7 * SECOND);
    for (seed, caller) in (1..).zip(&admitted) {
        world.caller(*caller).take_prompts();
        world.with(*caller, |c, _, _| c.speak(&voice(seed, 6)));
    }
    let mut refused = Vec::new();
    for _ in 0..30 {
        let caller = pbx(&mut world);
        world.with(caller, |c, now, agenda| c.invite(now, agenda, ONE, GCM));
        world.run_for(SECOND / 10);
        refused.push(caller);
    }
    for caller in &refused {
        let statuses: Vec<u16> =
            world.caller(*caller).responses().iter().map(|response| response.status).collect();
        assert_eq!(statuses, [100, 503]);
        let answer = world.caller(*caller).answer().expect("a final response");
        let after: u64 = answer.field("Retry-After").expect("when").parse().expect("seconds");
        assert!((5..=10).contains(&after));
    }
    assert!(world.server.refused().iter().all(|refused| refused.why == Why::Full));
    assert_eq!(world.server.refused().len(), 30);
    world.run_for(3 * SECOND);
    for caller in &admitted {
        press(&mut world, *caller, "#");
        hears(&mut world, *caller, "saved", SECOND);
    }
    world.run_for(10 * SECOND);
    let lengths: Vec<Duration> = world.server.rows().map(|row| row.duration()).collect();
    assert_eq!(lengths.len(), 3);
    assert!(lengths.iter().all(|length| *length >= 6 * SECOND), "{lengths:?}");
    assert!(admitted.iter().all(|caller| world.caller(*caller).broken_packets() == 0));
    // Each place is free again, and nothing is left of the refused.
    world.run_for(40 * SECOND);
    assert!(world.server.is_empty());
    leave(&mut world, ONE, &voice(9, 2));
}

#[test]
fn people_who_hear_messages_get_in_while_no_message_can_be_left() {
    let mut world = small();
    let callers: Vec<_> = (0..4).map(|_| pbx(&mut world)).collect();
    let statuses: Vec<u16> =
        callers.iter().map(|caller| call(&mut world, *caller, ONE, GCM)).collect();
    assert_eq!(statuses, [200, 200, 200, 503]);
    // Over the trunk nobody can log in: that hears so only where there is room for it.
    assert_eq!(call(&mut world, callers[3], "sip:*97@clinic.example", GCM), 503);
    let owner = telephone(&mut world, "c7001");
    assert_eq!(call(&mut world, owner, "sip:*97@clinic.example", GCM), 200);
    hears(&mut world, owner, "enter-pin", SECOND);
    let other = telephone(&mut world, "c7002");
    assert_eq!(call(&mut world, other, "sip:*97@clinic.example", GCM), 503, "all are taken");
    bye(&mut world, owner);
    assert_eq!(call(&mut world, other, "sip:*97@clinic.example", GCM), 200);
}

#[test]
fn a_caller_over_the_quota_hears_so_and_leaves_nothing() {
    let quota = Some(Allowance::new(2, Duration::from_secs(600)));
    let mut world = world(Admission {
        calls_max: 100,
        retrieval_reserved_percent: 5,
        deposits_per_caller: quota,
    });
    leave(&mut world, ONE, &voice(1, 2));
    leave(&mut world, ONE, &voice(2, 2));
    let caller = pbx(&mut world);
    assert_eq!(call(&mut world, caller, ONE, GCM), 200);
    hears(&mut world, caller, "too-many-messages", SECOND);
    world.run_until("BYE", 5 * SECOND, |w| w.caller(caller).hung_up_on);
    world.run_for(SECOND);
    let last = world.reports().last().expect("a report");
    assert_eq!(
        (last.end.to_string().as_str(), last.purpose),
        ("too-many-messages", "refused-deposit")
    );
    assert_eq!(world.server.rows().count(), 2);
    let begun = world.server.records().iter();
    assert_eq!(begun.filter(|record| record.event.name == EventName::RecordStart).count(), 2);
    // Another caller, and the same one later, leave theirs.
    let other = pbx(&mut world);
    world.caller(other).number = "5557777".to_owned();
    assert_eq!(call(&mut world, other, ONE, GCM), 200);
    beep(&mut world);
    bye(&mut world, other);
    world.run_for(300 * SECOND);
    leave(&mut world, ONE, &voice(3, 2));
    assert!(world.server.is_quiet());
}

#[test]
fn who_withholds_the_number_shares_a_quota_with_all_who_do() {
    let quota = Some(Allowance::new(1, Duration::from_secs(600)));
    let mut world = world(Admission {
        calls_max: 100,
        retrieval_reserved_percent: 5,
        deposits_per_caller: quota,
    });
    for (at, heard) in ["greeting-default", "too-many-messages"].into_iter().enumerate() {
        let caller = pbx(&mut world);
        world.caller(caller).number = "anonymous".to_owned();
        assert_eq!(call(&mut world, caller, ONE, GCM), 200, "{at}");
        hears(&mut world, caller, heard, SECOND);
        bye(&mut world, caller);
    }
}
