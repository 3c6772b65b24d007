use proptest::prelude::*;

use super::*;

/// Sequence number, timestamp, marker, event, end, duration.
type Row = (u16, u32, bool, u8, bool, u16);

fn keys(rows: &[Row]) -> String {
    let mut presses = Presses::default();
    rows.iter()
        .filter_map(|&(sequence, timestamp, marker, event, end, duration)| {
            let header = Header { marker, payload_type: 101, sequence, timestamp, ssrc: Ssrc(1) };
            presses.receive(&header, TelephoneEvent { event, end, duration })
        })
        .collect()
}

/// One well-formed press of five packets and three ends.
fn press(sequence: u16, timestamp: u32, event: u8) -> Vec<Row> {
    let updates = (0..5u16)
        .map(|n| (sequence.wrapping_add(n), timestamp, n == 0, event, false, 160 * (n + 1)));
    let ends = (5..8u16).map(|n| (sequence.wrapping_add(n), timestamp, false, event, true, 960));
    updates.chain(ends).collect()
}

#[test]
fn three_end_packets_are_one_key() {
    assert_eq!(keys(&press(10, 1000, 1)), "1");
}

#[test]
fn all_keys_have_their_names() {
    let rows: Vec<Row> = (0..16u8)
        .flat_map(|event| press(u16::from(event) * 50, u32::from(event) * 8000, event))
        .collect();
    assert_eq!(keys(&rows), "0123456789*#ABCD");
}

#[test]
fn any_one_packet_of_a_press_is_enough() {
    for row in press(65_533, u32::MAX - 100, 7) {
        assert_eq!(keys(&[row]), "7");
    }
    assert_eq!(keys(&[(1, 1, true, 7, false, 0)]), "7", "a start without duration");
}

#[test]
fn any_loss_order_and_doubling_leaves_one_key() {
    let rows = press(10, 1000, 5);
    for missing in 0..1usize << rows.len() {
        let kept: Vec<Row> = rows
            .iter()
            .enumerate()
            .filter(|(n, _)| missing >> n & 1 == 0)
            .map(|(_, row)| *row)
            .collect();
        let doubled: Vec<Row> = kept.iter().rev().chain(&kept).copied().collect();
        let expected = if kept.is_empty() { "" } else { "5" };
        assert_eq!(keys(&kept), expected);
        assert_eq!(keys(&doubled), expected);
    }
}

#[test]
fn the_same_key_again_40_ms_later_is_a_second_press() {
    // With and without its marker, with and without audio packets between.
    for (sequence, marker) in [(18, true), (18, false), (20, true), (20, false)] {
        let mut rows = press(10, 1000, 1);
        let mut second = press(sequence, 1000 + 960 + 320, 1);
        second[0].2 = marker;
        rows.extend(&second);
        assert_eq!(keys(&rows), "11", "{sequence} {marker}");
        // The second press's first packet is lost.
        let mut rows = press(10, 1000, 1);
        rows.extend(&second[1..]);
        assert_eq!(keys(&rows), "11", "{sequence} {marker}");
    }
}

#[test]
fn a_marker_begins_a_press_even_where_the_last_one_still_reached() {
    let mut rows = press(10, 1000, 1);
    rows.extend(press(18, 1800, 1));
    assert_eq!(keys(&rows), "11");
}

#[test]
fn lost_ends_do_not_join_two_presses() {
    let mut rows = press(10, 1000, 1);
    rows.truncate(3);
    rows.extend(press(30, 1000 + 960 + 320, 1));
    assert_eq!(keys(&rows), "11");
}

#[test]
fn ends_with_a_changed_timestamp_are_the_same_press() {
    for change in [1, 160, 800, 960] {
        let mut rows = press(10, 1000, 3);
        rows[5..].iter_mut().for_each(|row| row.1 += change);
        assert_eq!(keys(&rows), "3", "{change}");
    }
    let mut rows = press(10, 1000, 3);
    (0..).zip(&mut rows[5..]).for_each(|(n, row)| row.1 += 960 + 160 * n);
    assert_eq!(keys(&rows), "3", "each end later than the last");
}

#[test]
fn a_timestamp_that_counts_up_with_every_packet_is_one_press() {
    let mut rows = press(10, 1000, 3);
    (0..).zip(&mut rows).for_each(|(n, row)| row.1 += 160 * n);
    assert_eq!(keys(&rows), "3");
    rows.swap(3, 4);
    assert_eq!(keys(&rows), "3");
}

#[test]
fn a_key_held_for_half_a_minute_is_one_press() {
    let mut rows = Vec::new();
    let mut timestamp = 1000u32;
    let mut sequence = 0;
    for _segment in 0..4 {
        for update in 1..=409u16 {
            rows.push((sequence, timestamp, sequence == 0, 9, false, update.saturating_mul(160)));
            sequence += 1;
        }
        rows.push((sequence, timestamp, false, 9, false, 0xffff));
        sequence += 1;
        timestamp += 0xffff;
    }
    rows.push((sequence, timestamp, false, 9, true, 160));
    assert_eq!(keys(&rows), "9");
}

#[test]
fn events_that_are_no_keys_are_ignored() {
    assert_eq!(keys(&press(10, 1000, 16)), "");
    assert_eq!(TelephoneEvent::parse(&[1, 0x80, 1]), None);
}

#[test]
fn late_packets_of_the_press_before_are_no_third_press() {
    let mut rows = press(10, 1000, 1);
    let late = rows.pop().unwrap();
    rows.extend(press(30, 5000, 2));
    rows.push(late);
    assert_eq!(keys(&rows), "12");
}

proptest! {
    #[test]
    fn payloads_never_panic_and_memory_is_bounded(
        rows in proptest::collection::vec(any::<(u16, u32, bool, u8, bool, u16)>(), 0..60),
        payload in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let _ = TelephoneEvent::parse(&payload);
        let mut presses = Presses::default();
        for (sequence, timestamp, marker, event, end, duration) in rows {
            let header = Header { marker, payload_type: 101, sequence, timestamp, ssrc: Ssrc(1) };
            presses.receive(&header, TelephoneEvent { event: event % 20, end, duration });
            prop_assert!(presses.last.len() <= PRESSES);
        }
    }
}
