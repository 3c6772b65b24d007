//! Whole calls between two legs, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use crate::world::{CALLER, MS, SECOND, SERVER, World, address};
use hushbox_media::audio::{Audio, Codec, EncodedClip, tone};
use hushbox_media::srtp::Suite;
use hushbox_media::{Event, RecordingEnd, RecordingLimits, Security};

const LIMITS: RecordingLimits =
    RecordingLimits { max: Duration::from_secs(180), silence: Duration::from_secs(10) };

fn speech(duration: Duration) -> Vec<i16> {
    tone::tone(440.0, -15.0, duration)
}

fn coded(codec: Codec, samples: &[i16]) -> Vec<i16> {
    samples.iter().map(|&sample| codec.decode(codec.encode(sample))).collect()
}

fn cm_only(offer: String) -> String {
    offer.lines().filter(|line| !line.contains("GCM")).map(|line| format!("{line}\r\n")).collect()
}

#[test]
fn what_is_played_is_recorded_to_the_sample_under_every_suite() {
    type Edit = fn(String) -> String;
    let offers: [(Security, Edit, Option<Suite>); 4] = [
        (Security::SrtpOnly, |offer| offer, Some(Suite::AeadAes256Gcm)),
        (Security::SrtpOnly, cm_only, Some(Suite::AesCm128HmacSha1_80)),
        (Security::Lab, |offer| offer, Some(Suite::AeadAes256Gcm)),
        (
            Security::SrtpOnly,
            |offer| offer.replace("a=sendrecv\r\n", "a=sendrecv\r\na=rtcp-mux\r\n"),
            Some(Suite::AeadAes256Gcm),
        ),
    ];
    for (security, edit, suite) in offers {
        let mut world = World::connected_with(security, edit);
        world.run(100 * MS);
        world.legs[SERVER].start_recording(world.now, LIMITS);
        let speech = speech(3 * SECOND);
        world.legs[CALLER].play(world.now, Audio::Samples(speech.clone()));
        world.run(3500 * MS);
        let summary = world.legs[SERVER].stop_recording(world.now);
        world.drain();
        assert_eq!(world.recorded(SERVER), coded(Codec::Pcmu, &speech));
        assert_eq!((summary.samples, summary.packets), (24_000, 150));
        assert!(summary.voiced && !summary.digital_silence);
        let report = world.legs[SERVER].report();
        assert_eq!((report.suite, report.codec), (suite, Some(Codec::Pcmu)));
        assert_eq!((report.lost, report.auth_failures, report.dropped), (0, 0, 0));
        assert_eq!(world.said(CALLER, &Event::PlaybackFinished).len(), 1);
    }
}

#[test]
fn a_lab_call_may_go_in_clear() {
    let plain = |offer: String| {
        offer
            .lines()
            .filter(|line| !line.contains("crypto"))
            .map(|line| format!("{line}\r\n"))
            .collect()
    };
    let mut world = World::connected_with(Security::Lab, plain);
    world.run(100 * MS);
    world.legs[SERVER].start_recording(world.now, LIMITS);
    world.legs[CALLER].play(world.now, Audio::Samples(speech(SECOND)));
    world.run(2 * SECOND);
    assert_eq!(world.legs[SERVER].report().suite, None);
    assert_eq!(world.legs[SERVER].stop_recording(world.now).samples, 8000);
}

/// 24 minutes at 20 ms are 72,000 packets: the rollover comes at 21 min 51 s at the latest.
#[test]
fn a_call_of_24_minutes_crosses_the_rollover_both_ways() {
    for edit in [(|offer| offer) as fn(String) -> String, cm_only] {
        let mut world = World::connected_with(Security::SrtpOnly, edit);
        world.run(100 * MS);
        let limits = RecordingLimits { max: Duration::from_secs(3600), ..LIMITS };
        let minute = Arc::new(EncodedClip::from_pcm(&speech(60 * SECOND)));
        for side in [CALLER, SERVER] {
            world.legs[side].start_recording(world.now, limits);
            for _ in 0..24 {
                world.legs[side].play(world.now, Audio::Clip(minute.clone()));
            }
        }
        world.run(24 * 60 * SECOND + SECOND);
        for side in [CALLER, SERVER] {
            let summary = world.legs[side].stop_recording(world.now);
            assert_eq!(summary.samples, 24 * 60 * 8000);
            assert_eq!(summary.packets, 72_000);
            let report = world.legs[side].report();
            assert_eq!((report.lost, report.auth_failures, report.replays), (0, 0, 0));
        }
    }
}

#[test]
fn loss_jitter_doubling_and_disorder_cost_what_was_lost_and_no_time() {
    let mut world = World::connected(Security::SrtpOnly);
    world.run(100 * MS);
    let mut random = 1u32;
    let mut lost = 0;
    world.impairment = Box::new(move |side, _| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let delay = 5 * MS + Duration::from_millis(u64::from(random >> 24) / 5);
        match (side, (random >> 8) % 20) {
            (CALLER, 0 | 1) if lost < 60 => {
                lost += 1;
                vec![]
            }
            (CALLER, 2) => vec![delay, delay + 7 * MS],
            _ => vec![delay],
        }
    });
    world.legs[SERVER].start_recording(world.now, LIMITS);
    let speech = speech(10 * SECOND);
    world.legs[CALLER].play(world.now, Audio::Samples(speech.clone()));
    world.run(10_500 * MS);
    let summary = world.legs[SERVER].stop_recording(world.now);
    world.drain();
    assert!((79_200..=80_000).contains(&summary.samples), "{}", summary.samples);
    let report = world.legs[SERVER].report();
    assert!(report.lost > 20 && report.replays > 5, "{report:?}");
    // All that came is in its place. Only a loss at the very start or end moves or cuts.
    let recorded = world.recorded(SERVER);
    let coded = coded(Codec::Pcmu, &speech);
    let offset = coded.len() - 80_000;
    let good = recorded.iter().zip(&coded[offset..]).filter(|(one, other)| one == other).count();
    let expected = summary.packets as usize * 160 - 320;
    assert!(good >= expected, "{good} of {expected}");
}

#[test]
fn ten_seconds_of_quiet_end_a_recording() {
    let mut world = World::connected(Security::SrtpOnly);
    world.legs[SERVER].start_recording(world.now, LIMITS);
    world.legs[CALLER].play(world.now, Audio::Samples(speech(SECOND)));
    world.run(15 * SECOND);
    let ended = world.said(SERVER, &Event::RecordingEnded(RecordingEnd::Silence));
    assert_eq!(ended.len(), 1);
    assert!((ended[0].as_secs_f64() - 11.0).abs() < 0.1, "{ended:?}");
    let summary = world.legs[SERVER].stop_recording(world.now);
    assert!((summary.samples as f64 / 8000.0 - 11.0).abs() < 0.1);
}

#[test]
fn forged_and_plain_packets_change_nothing_on_a_secure_leg() {
    let mut world = World::connected(Security::SrtpOnly);
    world.run(SECOND);
    world.legs[SERVER].start_recording(world.now, LIMITS);
    let before = world.legs[SERVER].report();
    let attacker = "198.51.100.7:6000".parse().unwrap();
    for sequence in 0..200u16 {
        let header = hushbox_media::rtp::Header {
            marker: true,
            payload_type: if sequence % 2 == 0 { 0 } else { 101 },
            sequence,
            timestamp: 160 * u32::from(sequence),
            ssrc: hushbox_media::rtp::Ssrc(7),
        };
        let bytes = [header.write().as_slice(), &[1, 10, 0, 160], &[0x11; 200]].concat();
        world.inject(SERVER, attacker, bytes);
    }
    // STUN, DTLS, garbage, nothing.
    for bytes in [vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], vec![22, 254, 253], vec![0x80], vec![]]
    {
        world.inject(SERVER, attacker, bytes);
    }
    let report = world.legs[SERVER].report();
    assert_eq!(report.received, before.received);
    assert_eq!(report.auth_failures, 200);
    let summary = world.legs[SERVER].stop_recording(world.now);
    assert_eq!(summary.packets, 0);
    assert!(world.events[SERVER].is_empty(), "{:?}", world.events[SERVER]);
    world.legs[SERVER].play(world.now, Audio::Silence(SECOND));
    world.run(SECOND);
    assert_eq!(world.sent_to[SERVER], Some(address(CALLER)));
    // Nor do they keep a dead call alive.
    world.impairment = Box::new(|_, _| vec![]);
    for _ in 0..40 {
        world.inject(SERVER, attacker, vec![0x80; 180]);
        world.run(SECOND);
    }
    assert_eq!(world.said(SERVER, &Event::MediaDead).len(), 1);
}

#[test]
fn authenticated_packets_say_where_the_peer_is() {
    let mut world = World::connected(Security::SrtpOnly);
    for source in ["198.51.100.1:1111", "198.51.100.1:2222"] {
        world.sources[CALLER] = source.parse().unwrap();
        world.legs[CALLER].play(world.now, Audio::Silence(100 * MS));
        world.legs[SERVER].play(world.now, Audio::Silence(200 * MS));
        world.run(SECOND);
        assert_eq!(world.sent_to[SERVER], Some(world.sources[CALLER]));
    }
}

#[test]
fn in_clear_the_first_source_stays_while_it_speaks() {
    let plain = |offer: String| {
        offer
            .lines()
            .filter(|line| !line.contains("crypto"))
            .map(|line| format!("{line}\r\n"))
            .collect()
    };
    let mut world = World::connected_with(Security::Lab, plain);
    world.run(SECOND);
    // The peer moves; as long as the old address may still speak, the new one is not believed.
    let moved = "198.51.100.1:1111".parse().unwrap();
    world.sources[CALLER] = moved;
    world.legs[CALLER].play(world.now, Audio::Silence(4 * SECOND));
    world.legs[SERVER].play(world.now, Audio::Silence(4 * SECOND));
    world.run(500 * MS);
    assert_eq!(world.sent_to[SERVER], Some(address(CALLER)));
    world.run(2 * SECOND);
    assert_eq!(world.sent_to[SERVER], Some(moved));
    // Somebody else does not get the call while the peer speaks.
    let report = world.legs[SERVER].report();
    let mut packet = vec![0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
    packet.extend([0; 160]);
    world.inject(SERVER, "203.0.113.5:5".parse().unwrap(), packet);
    assert_eq!(world.legs[SERVER].report().received, report.received);
    world.run(SECOND);
    assert_eq!(world.sent_to[SERVER], Some(moved));
}

#[test]
fn silence_of_the_peer_for_30_seconds_is_said_once_and_rtcp_prevents_it() {
    let mut world = World::connected(Security::SrtpOnly);
    world.run(120 * SECOND);
    assert!(world.said(SERVER, &Event::MediaDead).is_empty());
    world.impairment = Box::new(|_, bytes| {
        let rtcp = (192..=223).contains(&bytes[1]);
        if rtcp { vec![5 * MS] } else { vec![] }
    });
    world.run(120 * SECOND);
    assert!(world.said(SERVER, &Event::MediaDead).is_empty());
    world.impairment = Box::new(|_, _| vec![]);
    world.run(120 * SECOND);
    let dead = world.said(SERVER, &Event::MediaDead);
    assert_eq!(dead.len(), 1);
    assert!(dead[0] >= 262 * SECOND && dead[0] <= 270 * SECOND + 10 * MS, "{dead:?}");
}

#[test]
fn playback_tells_when_it_runs_low_and_when_it_is_over() {
    let mut world = World::connected(Security::SrtpOnly);
    world.run(100 * MS);
    let start = world.now - world.epoch;
    world.legs[SERVER].play(world.now, Audio::Silence(SECOND));
    world.run(700 * MS);
    assert_eq!(world.said(SERVER, &Event::PlaybackLow), [start + 500 * MS]);
    assert_eq!(world.legs[SERVER].played(), 720 * MS);
    world.legs[SERVER].play(world.now, Audio::Silence(SECOND));
    world.run(3 * SECOND);
    assert_eq!(world.said(SERVER, &Event::PlaybackLow).len(), 2);
    assert_eq!(world.said(SERVER, &Event::PlaybackFinished), [start + 2000 * MS]);
    world.legs[SERVER].play(world.now, Audio::Silence(SECOND));
    world.legs[SERVER].stop_playing(world.now);
    assert_eq!(
        (world.legs[SERVER].played(), world.legs[SERVER].queued()),
        (Duration::ZERO, Duration::ZERO)
    );
    world.run(3 * SECOND);
    assert_eq!(world.said(SERVER, &Event::PlaybackFinished).len(), 1);
    world.legs[SERVER].play(world.now, Audio::Silence(Duration::ZERO));
    world.run(MS);
    assert_eq!(world.said(SERVER, &Event::PlaybackFinished).len(), 2);
}

#[test]
fn packets_are_paced_at_20_ms_and_a_late_call_is_made_up_for_in_part() {
    let mut world = World::connected(Security::SrtpOnly);
    world.run(100 * MS);
    world.tap = Some(Vec::new());
    world.legs[SERVER].play(world.now, Audio::Silence(20 * SECOND));
    let sent = |world: &mut World, step: Duration| {
        world.run(step);
        world.tap.replace(Vec::new()).map(|tap| tap.len()).unwrap_or_default()
    };
    assert_eq!(sent(&mut world, 400 * MS), 21);
    world.now += 100 * MS;
    assert_eq!(sent(&mut world, 10 * MS), 5);
    world.now += 3 * SECOND;
    assert!(sent(&mut world, 10 * MS) <= 11);
}

#[test]
fn nothing_is_sent_in_clear_and_every_packet_differs() {
    let mut world = World::connected(Security::SrtpOnly);
    world.tap = Some(Vec::new());
    let clip = vec![1000; 16_000];
    world.legs[CALLER].play(world.now, Audio::Samples(clip));
    world.run(10 * SECOND);
    world.legs[CALLER].hang_up(world.now);
    world.drain();
    let tap = world.tap.take().unwrap();
    assert!(tap.len() > 100);
    let clear = [Codec::Pcmu.encode(1000); 16];
    for (_, bytes) in &tap {
        assert!(!bytes.windows(16).any(|window| window == clear));
    }
    let mut payloads: Vec<_> = tap.iter().map(|(_, bytes)| bytes.slice(12..)).collect();
    payloads.sort();
    payloads.dedup();
    assert_eq!(payloads.len(), tap.len());
}

#[test]
fn after_hanging_up_nothing_is_sent_or_heard() {
    let mut world = World::connected(Security::SrtpOnly);
    world.run(SECOND);
    world.legs[SERVER].play(world.now, Audio::Silence(SECOND));
    world.legs[SERVER].hang_up(world.now);
    world.drain();
    let report = world.legs[SERVER].report();
    world.tap = Some(Vec::new());
    world.legs[CALLER].play(world.now, Audio::Silence(SECOND));
    world.run(60 * SECOND);
    assert_eq!(world.legs[SERVER].report(), report);
    assert!(world.tap.take().unwrap().iter().all(|(side, _)| *side == CALLER));
    assert!(world.said(SERVER, &Event::MediaDead).is_empty());
}

#[test]
fn reports_are_sent_every_five_seconds_or_so_and_name_nobody() {
    let plain = |offer: String| {
        let lines = offer.lines().filter(|line| !line.contains("crypto"));
        lines.map(|line| format!("{line}\r\n")).collect()
    };
    let mut world = World::connected_with(Security::Lab, plain);
    world.tap = Some(Vec::new());
    world.legs[SERVER].play(world.now, Audio::Silence(60 * SECOND));
    world.run(120 * SECOND);
    let tap = world.tap.take().unwrap();
    let reports: Vec<_> =
        tap.iter().filter(|(side, bytes)| *side == SERVER && bytes[1] >= 192).collect();
    assert!((16..=48).contains(&reports.len()), "{}", reports.len());
    for (_, bytes) in &reports {
        assert!(hushbox_media::rtcp::parse(bytes).unwrap().sender_report.is_some());
        let cname = &bytes[bytes.len() - 26..bytes.len() - 2];
        assert!(cname.iter().all(u8::is_ascii_hexdigit), "{cname:?}");
    }
}
