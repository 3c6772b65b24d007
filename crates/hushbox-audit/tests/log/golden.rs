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

const LAST_HASH: &str = "31439dbff195532291f53f0c741c4d200c57c7fb847ebc94861be402dc7970ce";
const ROOT: &str = "f7b06da9c932899a41fcb64840b7b8bb68889532bc95e31dca52c3ceb7022943";
