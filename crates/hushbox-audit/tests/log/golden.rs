//! design.md decision 13: old formats stay readable. The file was written by the first version and never changes.

use super::support::{frames, segment};
use hushbox_audit::{Record, merkle, verify};

const SEGMENT_V1: &str = include_str!("golden/segment-v1.hex");

fn golden() -> Vec<u8> {
    hex::decode(SEGMENT_V1.split_whitespace().collect::<String>()).unwrap()
}

#[test]
fn a_segment_is_still_written_as_in_version_1() {
    let lines: Vec<_> = hex::encode(segment()).as_bytes().chunks(96).map(<[u8]>::to_vec).collect();
    let text = String::from_utf8(lines.join(&b'\n')).unwrap() + "\n";
    assert_eq!(text, SEGMENT_V1);
}

#[test]
fn a_segment_of_version_1_is_still_read() {
    let golden = golden();
    let summary = verify([&golden]).unwrap();
    assert_eq!(summary.count, 7);
    assert_eq!(summary.last_hash.to_string(), LAST_HASH);
    let frames = frames(&golden);
    let records: Vec<_> = frames.iter().map(|frame| &frame[4..frame.len() - 32]).collect();
    assert_eq!(merkle::root(records.iter().copied()).to_string(), ROOT);
    assert_eq!(Record::from_bytes(records[4]).unwrap().event, super::support::full_event());
    for bytes in records {
        assert_eq!(Record::from_bytes(bytes).unwrap().to_bytes(), bytes);
    }
}

const LAST_HASH: &str = "73a6807765e2e71f8a8b6453dd40947b00697f49e53d2848b5baedbfaf71a810";
const ROOT: &str = "9891b6b3a0d8ba2edc91051b23f91170df4610efdef30469e90f489286d43301";
