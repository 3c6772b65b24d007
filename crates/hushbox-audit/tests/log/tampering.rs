//! hipaa-controls 8: any single-byte edit, deletion, swap, duplicate, cut or old copy is found, and named by its place.

use super::support::{at, frames, log, segment, written};
use hushbox_audit::{
    Anchor, Broken, Damage, Event, EventName, Hash, SegmentHeader, Verifier, Who, recover, verify,
};
use proptest::prelude::*;

fn rebuilt(header: &[u8], frames: &[&[u8]]) -> Vec<u8> {
    let mut segment = header.to_vec();
    for frame in frames {
        segment.extend_from_slice(frame);
    }
    segment
}

/// The record that a byte of the segment belongs to.
fn seq_at(segment: &[u8], at: usize) -> u64 {
    let mut end = 64;
    for (seq, frame) in frames(segment).iter().enumerate() {
        end += frame.len();
        if at < end {
            return seq as u64;
        }
    }
    panic!("behind the end")
}

#[test]
fn a_log_that_nobody_touched_holds_good() {
    let summary = verify([segment()]).unwrap();
    assert_eq!((summary.count, summary.node), (7, Some(super::support::node())));
    assert_eq!(summary.first.unwrap(), (0, at(0).utc));
    assert_eq!(summary.last.unwrap(), (6, at(6).utc));
    let last = frames(&segment()).last().unwrap().len();
    assert_eq!(summary.last_hash.as_bytes(), &segment()[segment().len() - 32..]);
    assert!(last > 100);
    assert!(summary.to_string().starts_with("7 records, 0 (2026-03-04T05:06:07.890123Z) to 6 ("));
}

#[test]
fn space_that_was_kept_behind_the_records_is_no_damage() {
    let mut kept = segment();
    kept.resize(kept.len() + 5000, 0);
    assert_eq!(verify([kept]), verify([segment()]));
}

/// Every place, every single bit and some whole bytes.
#[test]
fn every_single_byte_edit_is_found_at_its_record() {
    let whole = segment();
    for place in 0..whole.len() {
        for with in [1, 2, 4, 8, 16, 32, 64, 128, 0xff, whole[place]] {
            if with == 0 {
                continue;
            }
            let mut edited = whole.clone();
            edited[place] ^= with;
            let broken = verify([&edited]).unwrap_err();
            let expected = if place < 64 { 0..=u64::MAX } else { 0..=seq_at(&whole, place) };
            assert!(expected.contains(&broken.seq), "{place} ^ {with}: {broken:?}");
            if place >= 64 {
                assert_eq!(broken.seq, seq_at(&whole, place), "{place} ^ {with}: {broken:?}");
            }
        }
    }
}

#[test]
fn every_deletion_is_found() {
    let whole = segment();
    let frames = frames(&whole);
    for missing in 0..frames.len() - 1 {
        let mut left = frames.clone();
        left.remove(missing);
        let broken = verify([rebuilt(&whole[..64], &left)]).unwrap_err();
        assert_eq!(broken, Broken { seq: missing as u64, what: Damage::Order });
    }
}

#[test]
fn every_swap_is_found() {
    let whole = segment();
    let frames = frames(&whole);
    for first in 0..frames.len() {
        for second in first + 1..frames.len() {
            let mut swapped = frames.clone();
            swapped.swap(first, second);
            let broken = verify([rebuilt(&whole[..64], &swapped)]).unwrap_err();
            assert_eq!(broken, Broken { seq: first as u64, what: Damage::Order });
        }
    }
}

#[test]
fn every_duplicate_is_found() {
    let whole = segment();
    let frames = frames(&whole);
    for (seq, frame) in frames.iter().enumerate() {
        for place in 0..=frames.len() {
            let mut twice = frames.clone();
            twice.insert(place, *frame);
            let broken = verify([rebuilt(&whole[..64], &twice)]).unwrap_err();
            // Put beside itself, the second one is the stranger.
            let expected = if place == seq { seq + 1 } else { place };
            assert_eq!(broken, Broken { seq: expected as u64, what: Damage::Order });
        }
    }
}

/// Whoever can write the file can also make good frames: then the chain does not fit.
#[test]
fn a_record_that_was_rewritten_with_its_hash_breaks_the_chain_behind_it() {
    let whole = segment();
    let frames = frames(&whole);
    let mut record =
        hushbox_audit::Record::from_bytes(&frames[1][4..frames[1].len() - 32]).unwrap();
    record.event.who = Who::Operator { uid: 65534 };
    let bytes = record.to_bytes();
    let mut forged = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    forged.extend_from_slice(&bytes);
    forged.extend_from_slice(record.leaf_hash().as_bytes());
    let mut with = frames.clone();
    with[1] = &forged;
    let broken = verify([rebuilt(&whole[..64], &with)]).unwrap_err();
    assert_eq!(broken, Broken { seq: 2, what: Damage::Chain });
}

#[test]
fn records_of_another_log_do_not_fit() {
    let whole = segment();
    let other = SegmentHeader {
        node: super::support::id(hushbox_policy::NodeId::from_bytes, 77),
        ..SegmentHeader::from_bytes(&whole).unwrap()
    };
    let broken = verify([rebuilt(&other.to_bytes(), &frames(&whole))]).unwrap_err();
    assert_eq!(broken, Broken { seq: 0, what: Damage::Node });
}

/// A cut between two records, or yesterday's copy, fits in itself; an anchor outside of the log shows it.
#[test]
fn a_cut_and_an_old_copy_are_found_by_an_anchor() {
    let whole = segment();
    let frames = frames(&whole);
    let summary = verify([&whole]).unwrap();
    let anchor = Anchor { seq: 6, hash: summary.last_hash };
    let check = |segment: &[u8], anchor| {
        let mut verifier = Verifier::with_anchors([anchor]);
        verifier.push(segment)?;
        verifier.end_segment()?;
        verifier.finish()
    };
    assert_eq!(check(&whole, anchor), Ok(summary));
    let cut = rebuilt(&whole[..64], &frames[..6]);
    assert!(verify([&cut]).is_ok());
    assert_eq!(check(&cut, anchor), Err(Broken { seq: 6, what: Damage::AnchorMissing }));
    let other = Anchor { seq: 3, hash: Hash::of(b"another history") };
    assert_eq!(check(&whole, other), Err(Broken { seq: 3, what: Damage::AnchorDiffers }));
}

/// The log as three segments.
fn segments() -> Vec<Vec<u8>> {
    let mut log = log();
    let mut segments = Vec::new();
    for index in 0..3 {
        let mut segment = Vec::new();
        for second in 0..4 {
            let event = Event::new(EventName::CallIn, Who::Stranger);
            log.append_event(at(4 * index + second), event);
        }
        written(&mut log, &mut segment);
        segments.push(segment);
    }
    segments
}

#[test]
fn segments_follow_each_other() {
    let segments = segments();
    assert_eq!(verify(&segments).unwrap().count, 12);
    assert_eq!(verify(&segments[1..]).unwrap().first.unwrap().0, 4, "old ones are retired");
    for wrong in [[0, 2, 1], [1, 0, 2], [2, 1, 0]] {
        let order = wrong.map(|index: usize| &segments[index]);
        assert_eq!(verify(order).unwrap_err().what, Damage::Header, "{wrong:?}");
    }
    let missing = verify([&segments[0], &segments[2]]).unwrap_err();
    assert_eq!(missing, Broken { seq: 4, what: Damage::Header });
    let twice = verify([&segments[0], &segments[0]]).unwrap_err();
    assert_eq!(twice, Broken { seq: 4, what: Damage::Header });
}

#[test]
fn a_first_segment_cannot_pretend_to_be_a_later_one() {
    let mut segment = segment();
    segment[31] = 1;
    assert_eq!(verify([segment]).unwrap_err().what, Damage::Header);
}

#[test]
fn a_log_without_records_holds_good() {
    assert_eq!(verify::<&[u8]>([]).unwrap().to_string(), "no records");
    let summary = verify([&segment()[..64]]).unwrap();
    assert_eq!((summary.count, summary.last), (0, None));
}

proptest! {
    #[test]
    fn a_log_reads_the_same_in_pieces_of_any_size(size in 1_usize..500) {
        let whole = segment();
        let mut verifier = Verifier::new();
        for piece in whole.chunks(size) {
            verifier.push(piece).unwrap();
        }
        verifier.end_segment().unwrap();
        prop_assert_eq!(verifier.finish(), verify([whole]));
    }

    #[test]
    fn no_bytes_make_verifying_or_recovering_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        keep in 0_usize..700,
    ) {
        let _ = verify([&bytes]);
        let _ = recover(&bytes);
        let mut behind = segment();
        behind.truncate(64 + keep);
        behind.extend_from_slice(&bytes);
        let _ = verify([&behind]);
        let _ = recover(&behind);
    }

    #[test]
    fn several_edits_together_are_found(
        places in proptest::collection::btree_set(64_usize..900, 1..5), with in 1_u8..,
    ) {
        let mut edited = segment();
        for place in places {
            edited[place] ^= with;
        }
        prop_assert!(verify([edited]).is_err());
    }
}
