//! Whatever comes, in whatever order and at whatever time: no panic, no growth, no secret shown.

use std::net::SocketAddr;
use std::time::Duration;

use crate::peer::{Call, MS, SECOND};
use hushbox_media::audio::Audio;
use hushbox_media::rtp::{Header, Ssrc};
use hushbox_media::{Event, Input, Leg, LegConfig, Output, RecordingLimits, Security};
use proptest::prelude::*;

const PLAIN: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 5000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=rtcp-mux\r\n";

#[derive(Debug, Clone)]
enum Step {
    Packet {
        payload_type: u8,
        marker: bool,
        sequence: u16,
        timestamp: u32,
        ssrc: u32,
        length: usize,
    },
    Octets(Vec<u8>, bool),
    Wait(u64),
    Reoffer(usize, u8),
    Hold(bool),
    Play(u64),
    Record,
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let packet = (
        prop::sample::select(vec![0u8, 8, 13, 101, 72, 96]),
        any::<bool>(),
        any::<u16>(),
        prop_oneof![any::<u32>(), 0u32..100_000],
        0u32..3,
        0usize..1700,
    );
    prop_oneof![
        8 => packet.prop_map(|(payload_type, marker, sequence, timestamp, ssrc, length)| {
            Step::Packet { payload_type, marker, sequence, timestamp, ssrc, length }
        }),
        2 => (proptest::collection::vec(any::<u8>(), 0..100), any::<bool>())
            .prop_map(|(octets, rtcp)| Step::Octets(octets, rtcp)),
        4 => (0u64..40_000).prop_map(Step::Wait),
        1 => (0usize..PLAIN.len(), any::<u8>()).prop_map(|(at, octet)| Step::Reoffer(at, octet)),
        1 => any::<bool>().prop_map(Step::Hold),
        1 => (0u64..5000).prop_map(Step::Play),
        1 => Just(Step::Record),
        1 => Just(Step::Stop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_call_in_clear_survives_anything(steps in proptest::collection::vec(step(), 1..80)) {
        let mut now = crate::peer::epoch();
        let config = LegConfig {
            local_ip: [192, 0, 2, 2].into(),
            rtp_port: 4000,
            security: Security::Lab,
            seed: [3; 32],
        };
        let (mut leg, _) = Leg::answer(now, config, PLAIN.as_bytes()).expect("a good offer");
        leg.start(now);
        let from = SocketAddr::from(([192, 0, 2, 1], 5000));
        let mut recording = None;
        for step in steps {
            match step {
                Step::Packet { payload_type, marker, sequence, timestamp, ssrc, length } => {
                    let ssrc = Ssrc(ssrc);
                    let header = Header { marker, payload_type, sequence, timestamp, ssrc };
                    let mut bytes = header.write().to_vec();
                    bytes.resize(12 + length, 0x55);
                    leg.handle_input(now, Input::Rtp { from, bytes: &mut bytes });
                }
                Step::Octets(mut bytes, false) => {
                    leg.handle_input(now, Input::Rtp { from, bytes: &mut bytes });
                }
                Step::Octets(mut bytes, true) => {
                    leg.handle_input(now, Input::Rtcp { from, bytes: &mut bytes });
                }
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Reoffer(at, octet) => {
                    let mut offer = PLAIN.as_bytes().to_vec();
                    offer[at] = octet;
                    let _ = leg.handle_reoffer(now, Some(&offer));
                }
                Step::Hold(hold) => {
                    let offer = PLAIN.to_owned() + if hold { "a=inactive\r\n" } else { "" };
                    let _ = leg.handle_reoffer(now, Some(offer.as_bytes()));
                }
                Step::Play(millis) => leg.play(now, Audio::Silence(Duration::from_millis(millis))),
                Step::Record => {
                    leg.start_recording(now, RecordingLimits::default());
                    recording = Some(now);
                }
                Step::Stop => {
                    let summary = leg.stop_recording(now);
                    let since = recording.take().map_or(Duration::ZERO, |since| now - since);
                    // Never longer than the time that passed, give or take a jump and a packet.
                    let longest = since + 2 * SECOND + 400 * MS;
                    prop_assert!(Duration::from_micros(summary.samples * 125) <= longest);
                }
            }
            leg.handle_input(now, Input::Timeout);
            let mut outputs = 0;
            while !matches!(leg.poll_output(), Output::Timeout(_)) {
                outputs += 1;
            }
            prop_assert!(outputs < 100, "{outputs} outputs at once");
        }
    }

    #[test]
    fn a_secure_call_ignores_what_is_not_authenticated(
        packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..220), 1..40),
    ) {
        let mut call = Call::new(&[5; 44]);
        call.leg.start_recording(call.now, RecordingLimits::default());
        call.speak(3, 0, 0x90);
        let before = call.leg.report();
        for mut packet in packets {
            if let Some(first) = packet.first_mut() {
                *first = *first & 0x3f | 0x80;
            }
            call.deliver(packet);
        }
        let after = call.leg.report();
        prop_assert_eq!(after.received, before.received);
        call.speak(3, 0, 0x90);
        prop_assert_eq!(call.leg.stop_recording(call.now).samples, 960);
        prop_assert!(call.digits.is_empty() && call.events.is_empty());
    }
}

#[test]
fn a_changed_or_repeated_packet_costs_nothing_but_itself() {
    let mut call = Call::new(&[7; 30]);
    call.leg.start_recording(call.now, RecordingLimits::default());
    call.speak(5, 0, 0x90);
    let good = call.packet(0, false, &[0x90; 160]);
    let mut changed = good.clone();
    changed[20] ^= 1;
    call.deliver(changed);
    call.deliver(good.clone());
    call.deliver(good);
    let report = call.leg.report();
    assert_eq!((report.auth_failures, report.replays, report.received), (1, 1, 6));
    assert_eq!(call.leg.stop_recording(call.now).packets, 6);
}

#[test]
fn neither_keys_nor_digits_nor_audio_are_shown() {
    let mut call = Call::new(&[5; 44]);
    call.leg.play(call.now, Audio::Samples(vec![12_345; 800]));
    call.leg.start_recording(call.now, RecordingLimits::default());
    call.speak(3, 0, 0x90);
    let key = call.answer.split("inline:").nth(1).expect("a key")[..40].to_owned();
    let shown = format!("{:?} {:?} {:?}", call.leg, Event::Digit('7'), call.events);
    assert!(!shown.contains(&key) && !shown.contains("12345") && !shown.contains("144, 144"));
    assert!(!format!("{:?}", Event::Digit('7')).contains('7'));
    assert!(shown.len() < 1000, "{shown}");
}
