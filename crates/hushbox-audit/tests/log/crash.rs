//! What a crash leaves of the log, and how it goes on.

use super::support::{at, frames, node, segment, written};
use hushbox_audit::{Damage, Event, EventName, Log, Record, Who, limits, recover, verify};

fn ends(segment: &[u8]) -> Vec<usize> {
    let mut end = 64;
    let mut ends = vec![end];
    for frame in frames(segment) {
        end += frame.len();
        ends.push(end);
    }
    ends
}

#[test]
fn a_log_that_was_cut_anywhere_goes_on_behind_its_last_whole_record() {
    let whole = segment();
    let ends = ends(&whole);
    for length in 64..=whole.len() {
        for kept in [0, 1, 5000] {
            let mut cut = whole[..length].to_vec();
            cut.resize(length + kept, 0);
            let recovered = recover(&cut).unwrap();
            let records = ends.iter().filter(|end| **end <= length).count() - 1;
            assert_eq!(recovered.resume.next_seq, records as u64, "{length}");
            assert_eq!(recovered.valid_length, ends[records]);
            // What was torn may itself end in zeros.
            assert!(recovered.torn <= length - ends[records]);
        }
    }
}

#[test]
fn a_whole_log_has_nothing_torn() {
    let whole = segment();
    let recovered = recover(&whole).unwrap();
    assert_eq!((recovered.torn, recovered.valid_length), (0, whole.len()));
    assert_eq!(recovered.resume.prev_hash, verify([&whole]).unwrap().last_hash);
    assert_eq!(recovered.header.node, node());
}

#[test]
fn a_recovered_log_goes_on_and_holds_good() {
    let mut segment = segment();
    segment.truncate(segment.len() - 10);
    assert_eq!(verify([&segment]).unwrap_err().what, Damage::Incomplete);
    let recovered = recover(&segment).unwrap();
    assert!(recovered.torn > 0);
    segment.truncate(recovered.valid_length);
    let mut log = Log::new(node(), recovered.resume, at(100));
    log.append_event(at(101), Event::new(EventName::AuditGap, Who::System));
    written(&mut log, &mut segment);
    let summary = verify([&segment]).unwrap();
    assert_eq!(summary.count, 7);
    let last = frames(&segment).pop().unwrap();
    let record = Record::from_bytes(&last[4..last.len() - 32]).unwrap();
    assert_eq!((record.seq, record.monotonic_ms), (6, 1000));
}

/// Pages of the file that never reached the disk are zeros, also before ones that did.
#[test]
fn a_page_that_was_lost_ends_the_log_before_it() {
    let whole = segment();
    let ends = ends(&whole);
    let mut torn = whole.clone();
    torn[ends[4] + 2..ends[6] - 1].fill(0);
    let recovered = recover(&torn).unwrap();
    assert_eq!(recovered.valid_length, ends[4]);
    assert_eq!(recovered.torn, whole.len() - ends[4]);
}

#[test]
fn a_record_that_was_changed_is_not_taken_for_a_crash() {
    let whole = segment();
    let ends = ends(&whole);
    for (seq, start) in ends.iter().take(ends.len() - 2).enumerate() {
        let mut changed = whole.clone();
        changed[start + 40] ^= 1;
        let broken = recover(&changed).unwrap_err();
        assert_eq!((broken.seq, broken.what), (seq as u64, Damage::Record));
    }
}

#[test]
fn more_than_a_crash_can_leave_is_not_taken_for_one() {
    let mut segment = segment();
    segment.resize(segment.len() + limits::TORN_MAX + 1, 0xff);
    assert_eq!(recover(&segment).unwrap_err().what, Damage::Record);
}

#[test]
fn a_file_that_is_no_segment_is_not_recovered() {
    assert_eq!(recover(b"").unwrap_err().what, Damage::Header);
    assert_eq!(recover(&[0; 200]).unwrap_err().what, Damage::Header);
}
