use proptest::prelude::*;

use super::*;
use crate::srtp::{Outbound, Suite};

const SSRC: Ssrc = Ssrc(0x1234_5678);

fn master(suite: Suite, fill: u8) -> MasterKey {
    MasterKey::new(suite, &vec![fill; suite.key_bytes() + suite.salt_bytes()]).unwrap()
}

fn clear(ssrc: Ssrc, sequence: u16) -> Vec<u8> {
    let header = Header { marker: false, payload_type: 0, sequence, timestamp: 7, ssrc };
    [header.write().as_slice(), &[0x55; 160]].concat()
}

fn protected(outbound: &mut Outbound, sequence: u16) -> Vec<u8> {
    let mut packet = clear(outbound.ssrc(), sequence);
    let length = packet.len();
    packet.resize(length + 40, 0);
    let length = outbound.protect_rtp(&mut packet, length).unwrap();
    packet.truncate(length);
    packet
}

fn pair(suite: Suite, first: u16) -> (Outbound, Inbound) {
    let master = master(suite, 9);
    (Outbound::new(&master, SSRC, first), Inbound::new(&master, None, None))
}

#[test]
fn packets_come_back_across_the_rollover() {
    for suite in Suite::ALL {
        let (mut outbound, mut inbound) = pair(suite, 65_000);
        for step in 0..2000u16 {
            let sequence = 65_000u16.wrapping_add(step);
            let mut packet = protected(&mut outbound, sequence);
            let (index, length) = inbound.unprotect_rtp(&mut packet).unwrap();
            assert_eq!(packet[..length], clear(SSRC, sequence));
            assert_eq!(index.roc(), u32::from(sequence < 65_000));
        }
    }
}

#[test]
fn reordering_and_loss_at_the_rollover_are_survived() {
    for suite in Suite::ALL {
        let (mut outbound, mut inbound) = pair(suite, 65_530);
        let mut packets: Vec<_> =
            (0..20u16).map(|step| protected(&mut outbound, 65_530u16.wrapping_add(step))).collect();
        packets.swap(5, 6);
        packets.remove(7);
        for mut packet in packets {
            inbound.unprotect_rtp(&mut packet).unwrap();
        }
    }
}

#[test]
fn the_first_packet_may_come_after_the_first_rollover() {
    for suite in Suite::ALL {
        let (mut outbound, mut inbound) = pair(suite, 65_535);
        protected(&mut outbound, 65_535);
        let mut packet = protected(&mut outbound, 0);
        let (index, _) = inbound.unprotect_rtp(&mut packet).unwrap();
        assert_eq!(index, PacketIndex::new(1, 0));
    }
}

#[test]
fn header_extensions_of_any_kind_stay_in_clear_and_count() {
    for suite in Suite::ALL {
        let (mut outbound, mut inbound) = pair(suite, 10);
        let mut clear = clear(SSRC, 10)[..12].to_vec();
        clear[0] |= 0x10 | 1;
        clear.extend([9, 9, 9, 9]);
        // RFC 8285 §4.2: an element with the reserved ID 15 ends the list.
        clear.extend([0xbe, 0xde, 0, 2, 0x11, 1, 2, 0xf0, 0, 0, 0, 0]);
        clear.extend([0x55; 160]);
        let mut packet = clear.clone();
        packet.resize(clear.len() + 16, 0);
        let length = outbound.protect_rtp(&mut packet, clear.len()).unwrap();
        assert_eq!(packet[..28], clear[..28]);
        assert_ne!(packet[28..60], clear[28..60]);
        let mut changed = packet[..length].to_vec();
        changed[22] ^= 1;
        assert_eq!(inbound.unprotect_rtp(&mut changed), Err(SrtpError::Authentication));
        let (_, length) = inbound.unprotect_rtp(&mut packet[..length]).unwrap();
        assert_eq!(packet[..length], clear);
    }
}

#[test]
fn a_replayed_packet_is_refused() {
    for suite in Suite::ALL {
        let (mut outbound, mut inbound) = pair(suite, 10);
        let packet = protected(&mut outbound, 10);
        inbound.unprotect_rtp(&mut packet.clone()).unwrap();
        assert_eq!(inbound.unprotect_rtp(&mut packet.clone()), Err(SrtpError::Replay));
    }
}

#[test]
fn forged_packets_leave_roc_window_and_memory_unchanged() {
    for suite in Suite::ALL {
        let (mut outbound, mut inbound) = pair(suite, 65_530);
        inbound.unprotect_rtp(&mut protected(&mut outbound, 65_530)).unwrap();
        for ssrc in 0..1000 {
            let mut forged = clear(Ssrc(ssrc), 3);
            assert_eq!(inbound.unprotect_rtp(&mut forged), Err(SrtpError::Authentication));
        }
        // Sequence numbers that would move the rollover counter.
        for sequence in [0, 100, 30_000, 65_531] {
            let mut forged = clear(SSRC, sequence);
            assert!(inbound.unprotect_rtp(&mut forged).is_err());
        }
        assert_eq!(inbound.streams.len(), 1);
        assert_eq!(inbound.streams[0].window.highest(), 65_530);
        inbound.unprotect_rtp(&mut protected(&mut outbound, 65_531)).unwrap();
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for suite in Suite::ALL {
        let (mut outbound, mut inbound) = pair(suite, 10);
        let packet = protected(&mut outbound, 10);
        for bit in 0..packet.len() * 8 {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(inbound.unprotect_rtp(&mut changed).is_err(), "bit {bit}");
        }
        inbound.unprotect_rtp(&mut packet.clone()).unwrap();
    }
}

#[test]
fn a_source_that_comes_back_keeps_its_rollover_counter() {
    let suite = Suite::AeadAes256Gcm;
    let master = master(suite, 9);
    let mut first = Outbound::new(&master, Ssrc(1), 65_535);
    let mut second = Outbound::new(&master, Ssrc(2), 5);
    let mut inbound = Inbound::new(&master, None, None);
    inbound.unprotect_rtp(&mut protected(&mut first, 65_535)).unwrap();
    inbound.unprotect_rtp(&mut protected(&mut first, 0)).unwrap();
    inbound.unprotect_rtp(&mut protected(&mut second, 5)).unwrap();
    let (index, _) = inbound.unprotect_rtp(&mut protected(&mut first, 1)).unwrap();
    assert_eq!(index, PacketIndex::new(1, 1));
}

#[test]
fn authenticated_sources_are_bounded() {
    let master = master(Suite::AeadAes256Gcm, 9);
    let mut inbound = Inbound::new(&master, None, None);
    for ssrc in 0..SRTP_STREAMS as u32 {
        let mut outbound = Outbound::new(&master, Ssrc(ssrc), 0);
        inbound.unprotect_rtp(&mut protected(&mut outbound, 0)).unwrap();
    }
    let mut outbound = Outbound::new(&master, Ssrc(1000), 0);
    let result = inbound.unprotect_rtp(&mut protected(&mut outbound, 0));
    assert_eq!(result, Err(SrtpError::TooManyStreams));
}

#[test]
fn a_new_key_may_keep_the_rollover_counter_or_start_it_again() {
    for suite in Suite::ALL {
        let (mut outbound, mut before) = pair(suite, 65_535);
        before.unprotect_rtp(&mut protected(&mut outbound, 65_535)).unwrap();
        before.unprotect_rtp(&mut protected(&mut outbound, 0)).unwrap();
        let next = master(suite, 10);
        // Kept: a sender whose index goes on under the new key.
        let mut keeps = Outbound::new(&next, SSRC, 65_535);
        protected(&mut keeps, 65_535);
        let mut inbound = Inbound::new(&next, None, None).continuing(&before);
        let (index, _) = inbound.unprotect_rtp(&mut protected(&mut keeps, 1)).unwrap();
        assert_eq!(index, PacketIndex::new(1, 1));
        // Started again.
        let mut starts = Outbound::new(&next, SSRC, 40_000);
        let mut inbound = Inbound::new(&next, None, None).continuing(&before);
        let (index, _) = inbound.unprotect_rtp(&mut protected(&mut starts, 40_000)).unwrap();
        assert_eq!(index, PacketIndex::new(0, 40_000));
        // What is still under way under the old key does not touch the new window.
        let mut old = protected(&mut outbound, 1);
        assert_eq!(inbound.unprotect_rtp(&mut old), Err(SrtpError::Authentication));
    }
}

#[test]
fn an_mki_is_stripped_and_must_match() {
    for suite in Suite::ALL {
        let (mut outbound, _) = pair(suite, 10);
        let mki = Mki::new(vec![0, 0, 0, 1]).unwrap();
        let mut inbound = Inbound::new(&master(suite, 9), Some(mki), None);
        let with_mki = |octets: &[u8], packet: &[u8]| {
            let at = if suite == Suite::AeadAes256Gcm { packet.len() } else { packet.len() - 10 };
            [&packet[..at], octets, &packet[at..]].concat()
        };
        let packet = protected(&mut outbound, 10);
        let other = &mut with_mki(&[0, 0, 0, 2], &packet);
        assert_eq!(inbound.unprotect_rtp(other), Err(SrtpError::Mki));
        let mut packet = with_mki(&[0, 0, 0, 1], &packet);
        let (_, length) = inbound.unprotect_rtp(&mut packet).unwrap();
        assert_eq!(packet[..length], clear(SSRC, 10));
    }
}

#[test]
fn a_key_stops_at_its_lifetime() {
    let master = master(Suite::AesCm128HmacSha1_80, 9);
    let mut outbound = Outbound::new(&master, SSRC, 0);
    let mut inbound = Inbound::new(&master, None, Some(4));
    for sequence in 0..4 {
        inbound.unprotect_rtp(&mut protected(&mut outbound, sequence)).unwrap();
    }
    let result = inbound.unprotect_rtp(&mut protected(&mut outbound, 4));
    assert_eq!(result, Err(SrtpError::KeyExhausted));
}

#[test]
fn we_never_use_an_index_twice() {
    let (mut outbound, _) = pair(Suite::AeadAes256Gcm, 10);
    protected(&mut outbound, 10);
    let mut packet = clear(SSRC, 10);
    packet.resize(200, 0);
    assert_eq!(outbound.protect_rtp(&mut packet, 172), Err(SrtpError::Reuse));
}

#[test]
fn rtcp_comes_back_once_and_only_encrypted() {
    for suite in Suite::ALL {
        let (mut outbound, mut inbound) = pair(suite, 0);
        let clear = [&[0x80, 201, 0, 1][..], &SSRC.0.to_be_bytes(), &[7; 24]].concat();
        let mut packet = clear.clone();
        packet.resize(100, 0);
        let length = outbound.protect_rtcp(&mut packet, clear.len()).unwrap();
        packet.truncate(length);
        assert_ne!(packet[8..clear.len()], clear[8..]);
        let mut unencrypted = packet.clone();
        let word = if suite == Suite::AeadAes256Gcm { length - 4 } else { length - 14 };
        unencrypted[word] &= 0x7f;
        assert_eq!(inbound.unprotect_rtcp(&mut unencrypted), Err(SrtpError::Clear));
        let mut first = packet.clone();
        let length = inbound.unprotect_rtcp(&mut first).unwrap();
        assert_eq!(first[..length], clear);
        assert_eq!(inbound.unprotect_rtcp(&mut packet), Err(SrtpError::Replay));
    }
}

proptest! {
    #[test]
    fn garbage_never_panics_and_never_counts(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        first in 0x80u8..0xc0,
    ) {
        for suite in Suite::ALL {
            let (_, mut inbound) = pair(suite, 0);
            let mut packet = bytes.clone();
            if let Some(octet) = packet.first_mut() {
                *octet = first;
            }
            prop_assert!(inbound.unprotect_rtp(&mut packet.clone()).is_err());
            prop_assert!(inbound.unprotect_rtcp(&mut packet).is_err());
            prop_assert!(!inbound.in_use());
        }
    }
}
