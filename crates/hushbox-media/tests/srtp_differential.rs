//! Our SRTP transform against webrtc-srtp, both directions, both suites.

use hushbox_media::rtp::{Header, Ssrc};
use hushbox_media::srtp::{Inbound, MasterKey, Outbound, Suite};
use proptest::prelude::*;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

const SSRC: Ssrc = Ssrc(0xcafe_babe);

fn octets(suite: Suite) -> Vec<u8> {
    (0..suite.key_bytes() + suite.salt_bytes()).map(|index| (index * 7 + 3) as u8).collect()
}

fn ours(suite: Suite) -> MasterKey {
    MasterKey::new(suite, &octets(suite)).expect("the suite's length")
}

fn theirs(suite: Suite) -> Context {
    let octets = octets(suite);
    let (key, salt) = octets.split_at(suite.key_bytes());
    let profile = match suite {
        Suite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Suite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    Context::new(key, salt, profile, None, None).expect("a context")
}

/// A packet with contributing sources, an extension and padding, if asked for.
fn packet(sequence: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let header =
        Header { marker: flags & 1 != 0, payload_type: 8, sequence, timestamp: 99, ssrc: SSRC };
    let mut bytes = header.write().to_vec();
    if flags & 2 != 0 {
        bytes[0] |= 2;
        bytes.extend([1, 2, 3, 4, 5, 6, 7, 8]);
    }
    if flags & 4 != 0 {
        bytes[0] |= 0x10;
        bytes.extend([0xbe, 0xde, 0, 1, 0x10, 0x55, 0, 0]);
    }
    bytes.extend(payload);
    bytes
}

fn protect(outbound: &mut Outbound, clear: &[u8]) -> Vec<u8> {
    let mut buffer = clear.to_vec();
    buffer.resize(clear.len() + 16, 0);
    let length = outbound.protect_rtp(&mut buffer, clear.len()).expect("a new index");
    buffer.truncate(length);
    buffer
}

fn check_rtp(suite: Suite, first: u16, count: u16, flags: u8, payload: &[u8]) {
    let mut outbound = Outbound::new(&ours(suite), SSRC, first);
    let mut inbound = Inbound::new(&ours(suite), None, None);
    let (mut sends, mut receives) = (theirs(suite), theirs(suite));
    for step in 0..count {
        let clear = packet(first.wrapping_add(step), flags, payload);
        let one = protect(&mut outbound, &clear);
        let other = sends.encrypt_rtp(&clear).expect("a packet");
        assert_eq!(one, other, "{suite:?}");
        assert_eq!(receives.decrypt_rtp(&one).expect("our packet"), clear);
        let mut other = other.to_vec();
        let (_, length) = inbound.unprotect_rtp(&mut other).expect("their packet");
        assert_eq!(other[..length], clear);
    }
}

#[test]
fn both_make_the_same_packets_across_the_rollover() {
    for suite in Suite::ALL {
        check_rtp(suite, 65_500, 100, 0, &[0x55; 160]);
    }
}

#[test]
fn both_see_the_same_rollover_when_packets_are_lost_and_out_of_order_at_it() {
    for suite in Suite::ALL {
        let mut sends = theirs(suite);
        let mut inbound = Inbound::new(&ours(suite), None, None);
        let mut packets: Vec<_> = (0..40u16)
            .map(|step| packet(65_520u16.wrapping_add(step), 0, &[7; 160]))
            .map(|clear| sends.encrypt_rtp(&clear).expect("a packet").to_vec())
            .collect();
        packets.swap(14, 17);
        packets.drain(20..25);
        for mut packet in packets {
            inbound.unprotect_rtp(&mut packet).expect("their packet");
        }
    }
}

#[test]
fn both_make_the_same_srtcp() {
    for suite in Suite::ALL {
        let mut outbound = Outbound::new(&ours(suite), SSRC, 0);
        let mut inbound = Inbound::new(&ours(suite), None, None);
        let (mut sends, mut receives) = (theirs(suite), theirs(suite));
        for step in 0..5u8 {
            let mut clear = vec![0x80, 200, 0, 6];
            clear.extend(SSRC.0.to_be_bytes());
            clear.extend([step; 20]);
            let mut one = clear.clone();
            one.resize(100, 0);
            let length = outbound.protect_rtcp(&mut one, clear.len()).expect("a new index");
            one.truncate(length);
            assert_eq!(receives.decrypt_rtcp(&one).expect("our packet"), clear);
            let mut other = sends.encrypt_rtcp(&clear).expect("a packet").to_vec();
            let length = inbound.unprotect_rtcp(&mut other).expect("their packet");
            assert_eq!(other[..length], clear);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn both_make_the_same_of_any_packet(
        first: u16, flags in 0u8..8, payload in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        for suite in Suite::ALL {
            check_rtp(suite, first, 3, flags, &payload);
        }
    }
}
