//! What a peer may do in the middle of a call: hold, move, new keys, new sources, keys pressed.

use std::time::Duration;

use crate::peer::{Call, MS, SECOND, description, key_in};
use hushbox_media::audio::{Audio, Codec};
use hushbox_media::{Event, OfferError, RecordingEnd, RecordingLimits};

const GCM: [u8; 44] = [5; 44];
const GCM_NEXT: [u8; 44] = [6; 44];
const CM: [u8; 30] = [7; 30];
const LIMITS: RecordingLimits =
    RecordingLimits { max: Duration::from_secs(180), silence: Duration::from_secs(10) };
/// Loud in mu-law.
const LOUD: u8 = 0x90;

#[test]
fn digits_are_heard_once_and_not_recorded() {
    for key in [&GCM[..], &CM[..]] {
        let mut call = Call::new(key);
        call.leg.start_recording(call.now, LIMITS);
        call.speak(50, 0, LOUD);
        for event in [1, 1, 0, 9, 11] {
            call.press(event);
            call.wait(40 * MS);
            call.timestamp += 320;
        }
        call.speak(10, 0, LOUD);
        assert_eq!(call.digits, "1109#");
        let summary = call.leg.stop_recording(call.now);
        assert_eq!(summary.packets, 60);
        assert_eq!(summary.samples, 8000 + 5 * (8 * 160 + 320) + 1600);
        let recorded = call.recorded();
        assert!(recorded[8000..16_000].iter().all(|&sample| sample == 0));
    }
}

#[test]
fn the_codec_may_change_from_packet_to_packet() {
    let mut call = Call::new(&GCM);
    call.leg.start_recording(call.now, LIMITS);
    for _ in 0..5 {
        call.speak(1, 0, LOUD);
        call.speak(1, 8, LOUD);
        // Comfort noise and what was not agreed on are no audio.
        let bytes = call.packet(13, false, &[40]);
        call.deliver(bytes);
        let bytes = call.packet(97, false, &[1; 160]);
        call.deliver(bytes);
    }
    assert_eq!(call.leg.stop_recording(call.now).packets, 10);
    let recorded = call.recorded();
    assert_eq!(recorded.len(), 1600);
    assert_eq!(recorded[0], Codec::Pcmu.decode(LOUD));
    assert_eq!(recorded[160], Codec::Pcma.decode(LOUD));
}

#[test]
fn hold_pauses_the_recording_and_playback_and_their_time() {
    for lines in ["a=sendonly\r\n", "a=inactive\r\n", "c=IN IP4 0.0.0.0\r\n"] {
        let mut call = Call::new(&GCM);
        let limits = RecordingLimits { max: 4 * SECOND, ..LIMITS };
        call.leg.start_recording(call.now, limits);
        call.leg.play(call.now, Audio::Silence(3 * SECOND));
        call.speak(50, 0, LOUD);
        call.reoffer(&GCM, lines);
        assert_eq!(call.said(&Event::Held), 1);
        let heard = call.heard.len();
        // Music on hold comes, and is not recorded.
        call.speak(100, 0, LOUD);
        call.wait(60 * SECOND);
        assert_eq!(call.heard.len(), heard, "nothing is sent to a peer that holds");
        assert!(call.events == [Event::Held], "{:?}", call.events);
        call.reoffer(&GCM, "");
        assert_eq!(call.said(&Event::Resumed), 1);
        call.speak(50, 0, LOUD);
        assert_eq!(call.said(&Event::PlaybackFinished), 0);
        call.speak(60, 0, LOUD);
        assert_eq!(call.said(&Event::PlaybackFinished), 1);
        call.speak(80, 0, LOUD);
        assert_eq!(call.said(&Event::RecordingEnded(RecordingEnd::MaxLength)), 1);
        assert_eq!(call.leg.stop_recording(call.now).samples, 4 * 8000);
        assert_eq!(call.unopened, 0);
    }
}

#[test]
fn five_minutes_of_hold_are_too_long_and_no_dead_media() {
    let mut call = Call::new(&GCM);
    call.speak(10, 0, LOUD);
    call.reoffer(&GCM, "a=inactive\r\n");
    call.wait(299 * SECOND);
    assert_eq!(call.said(&Event::HeldTooLong), 0);
    call.wait(100 * SECOND);
    assert_eq!(call.said(&Event::HeldTooLong), 1);
    assert_eq!(call.said(&Event::MediaDead), 0);
    call.reoffer(&GCM, "");
    call.wait(29 * SECOND);
    assert_eq!(call.said(&Event::MediaDead), 0, "the peer gets its 30 s after the hold");
    call.wait(2 * SECOND);
    assert_eq!(call.said(&Event::MediaDead), 1);
}

#[test]
fn a_refresh_disturbs_nothing() {
    let mut call = Call::new(&GCM);
    call.leg.start_recording(call.now, LIMITS);
    call.leg.play(call.now, Audio::Silence(4 * SECOND));
    call.speak(50, 0, LOUD);
    let answer = call.answer.clone();
    call.reoffer(&GCM, "");
    assert_eq!(call.answer, answer);
    call.speak(50, 0, LOUD);
    assert_eq!(call.leg.stop_recording(call.now).samples, 16_000);
    let sequences: Vec<u16> = call.heard.iter().map(|(_, header, _)| header.sequence).collect();
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
    assert_eq!((call.unopened, call.leg.report().auth_failures), (0, 0));
}

#[test]
fn a_bad_re_offer_leaves_the_call_as_it_was() {
    let mut call = Call::new(&GCM);
    call.leg.play(call.now, Audio::Silence(4 * SECOND));
    call.speak(10, 0, LOUD);
    let plain = description(&GCM_NEXT, call.address, "").replace("RTP/SAVP", "RTP/AVP");
    let plain: String = plain
        .lines()
        .filter(|line| !line.contains("crypto"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let error = call.leg.handle_reoffer(call.now, Some(plain.as_bytes())).unwrap_err();
    assert_eq!((error, error.status()), (OfferError::NoSecurity, 488));
    let report = call.leg.report();
    call.speak(10, 0, LOUD);
    assert_eq!(call.leg.report().received, report.received + 10);
    assert_eq!(call.unopened, 0);
    // Nothing in clear is taken for an answer to it either.
    assert!(call.leg.handle_answer(call.now, plain.as_bytes()).is_err());
}

#[test]
fn a_new_key_is_followed_and_what_is_under_way_is_not_lost() {
    for next in [&GCM_NEXT[..], &CM[..]] {
        let mut call = Call::new(&GCM);
        call.leg.start_recording(call.now, LIMITS);
        call.speak(50, 0, LOUD);
        let own = key_in(&call.answer);
        let stream = call.heard.last().expect("packets").1.ssrc;
        call.reoffer(next, "");
        assert_ne!(key_in(&call.answer), own, "a new key gets a new one back");
        // The peer still sends under the old key until it has our answer.
        call.speak(5, 0, LOUD);
        let old = call.packet(0, false, &[LOUD; 160]);
        call.send_with(next);
        call.ssrc += 1;
        call.speak(45, 0, LOUD);
        // Once the new key is in use the old one is not taken any more.
        let failures = call.leg.report().auth_failures;
        call.deliver(old);
        assert_eq!(call.leg.report().auth_failures, failures + 1);
        assert_eq!(call.leg.stop_recording(call.now).samples, 100 * 160);
        assert_eq!(failures, 0);
        call.leg.play(call.now, Audio::Silence(SECOND));
        let heard = call.heard.len();
        call.wait(2 * SECOND);
        assert_eq!(call.heard.len() - heard, 50);
        assert_eq!(call.unopened, 0);
        // A new stream, so that nobody can disagree about its rollover counter.
        let first = call.heard[heard].1;
        assert_ne!(first.ssrc, stream);
        assert!(first.sequence < 0x8000 + 50);
    }
}

#[test]
fn a_peer_that_moves_is_sent_to_at_once() {
    let mut call = Call::new(&GCM);
    call.leg.play(call.now, Audio::Silence(20 * SECOND));
    call.speak(10, 0, LOUD);
    let before = call.packet(0, false, &[LOUD; 160]);
    let old = call.address;
    call.address = "198.51.100.9:7000".parse().expect("an address");
    call.reoffer(&GCM, "");
    call.wait(100 * MS);
    assert_eq!(call.heard.last().expect("packets").0, call.address);
    // What was under way from the old address does not turn it back.
    let mut before = before;
    let input = hushbox_media::Input::Rtp { from: old, bytes: &mut before };
    call.leg.handle_input(call.now, input);
    call.wait(100 * MS);
    assert_eq!(call.heard.last().expect("packets").0, call.address);
    assert_eq!((call.unopened, call.leg.report().auth_failures), (0, 0));
}

#[test]
fn an_offerless_re_invite_renews_the_keys_by_its_answer() {
    let mut call = Call::new(&GCM);
    call.speak(10, 0, LOUD);
    let offer = call.leg.handle_reoffer(call.now, None).expect("an offer");
    let offer = String::from_utf8(offer.to_vec()).expect("text");
    assert_eq!(offer.matches("a=crypto").count(), 2);
    // Until the answer comes all stays as it is.
    call.speak(10, 0, LOUD);
    assert_eq!(call.leg.report().received, 20);
    let hostile = description(&CM, call.address, "");
    assert_eq!(call.leg.handle_answer(call.now, hostile.as_bytes()), Err(OfferError::NoSecurity));
    let answer = description(&GCM_NEXT, call.address, "");
    call.leg.handle_answer(call.now, answer.as_bytes()).expect("a good answer");
    call.send_with(&GCM_NEXT);
    call.speak(10, 0, LOUD);
    assert_eq!(call.leg.report().received, 30);
}

#[test]
fn a_prepared_answer_holds_once_it_was_sent_and_not_before() {
    let mut call = Call::new(&GCM);
    call.leg.play(call.now, Audio::Silence(4 * SECOND));
    call.speak(10, 0, LOUD);
    let before = call.answer.clone();
    let offer = description(&GCM_NEXT, "198.51.100.9:7000".parse().expect("an address"), "");
    let answer = call.leg.prepare_reoffer(Some(offer.as_bytes())).expect("a good offer");
    assert_ne!(answer, before.as_bytes());
    // It was cancelled: the keys and addresses are those of before, and so is the version of what is said next.
    call.speak(10, 0, LOUD);
    assert_eq!((call.unopened, call.leg.report().auth_failures), (0, 0));
    assert!(call.heard.iter().all(|(to, ..)| *to == call.address));
    call.reoffer(&GCM, "");
    assert_eq!(call.answer, before);
    call.speak(10, 0, LOUD);
    assert_eq!((call.unopened, call.leg.report().received), (0, 30));
}

// RFC 3264 §8, RFC 4568 §7.1.4: signalling repeats what we said last as an offer.
#[test]
fn the_answer_to_a_refresh_may_bring_a_new_key_and_a_new_address() {
    let mut call = Call::new(&GCM);
    call.leg.play(call.now, Audio::Silence(20 * SECOND));
    call.speak(10, 0, LOUD);
    let same = description(&GCM, call.address, "");
    call.leg.handle_refresh_answer(call.now, same.as_bytes()).expect("what it was");
    call.speak(10, 0, LOUD);
    assert_eq!((call.unopened, call.leg.report().received), (0, 20));
    call.address = "198.51.100.9:7000".parse().expect("an address");
    let next = description(&GCM_NEXT, call.address, "");
    call.leg.handle_refresh_answer(call.now, next.as_bytes()).expect("a good answer");
    call.send_with(&GCM_NEXT);
    call.ssrc += 1;
    call.speak(10, 0, LOUD);
    assert_eq!((call.unopened, call.leg.report().received), (0, 30));
    assert_eq!(call.heard.last().expect("packets").0, call.address);
    // One that was never offered, and nothing in clear.
    let other = description(&CM, call.address, "");
    let refused = call.leg.handle_refresh_answer(call.now, other.as_bytes());
    assert_eq!(refused, Err(OfferError::NoSecurity));
    call.speak(10, 0, LOUD);
    assert_eq!(call.leg.report().received, 40);
}

#[test]
fn a_source_that_changes_and_comes_back_is_recorded_without_a_hole() {
    let mut call = Call::new(&GCM);
    call.leg.start_recording(call.now, LIMITS);
    call.sequence = 65_530;
    for (ssrc, sequence) in [(77, 65_530), (78, 40_000), (77, 14)] {
        call.ssrc = ssrc;
        call.sequence = sequence;
        call.timestamp = call.timestamp.wrapping_add(u32::from(sequence) * 9000);
        call.speak(20, 0, LOUD);
    }
    assert_eq!(call.leg.stop_recording(call.now).samples, 60 * 160);
    assert!(call.recorded().iter().all(|&sample| sample != 0));
    assert_eq!(call.leg.report().auth_failures, 0);
}

#[test]
fn a_key_that_is_used_up_ends_the_media() {
    let mut call = Call::new(&GCM);
    let limited = description(&GCM_NEXT, call.address, "").replace("=\r\n", "=|2^5\r\n");
    assert!(call.leg.handle_reoffer(call.now, Some(limited.as_bytes())).is_ok());
    call.send_with(&GCM_NEXT);
    call.ssrc += 1;
    call.speak(40, 0, LOUD);
    assert_eq!(call.said(&Event::MediaDead), 1);
    assert_eq!(call.leg.report().received, 32);
}

#[test]
fn a_late_packet_does_not_say_where_the_peer_is() {
    let mut call = Call::new(&GCM);
    call.leg.play(call.now, Audio::Silence(20 * SECOND));
    call.speak(10, 0, LOUD);
    let old = call.address;
    let late = call.packet(0, false, &[LOUD; 160]);
    call.address = "198.51.100.9:7000".parse().expect("an address");
    call.speak(2, 0, LOUD);
    let new = std::mem::replace(&mut call.address, old);
    call.deliver(late);
    call.wait(100 * MS);
    assert_eq!(call.heard.last().expect("packets").0, new);
    assert_eq!(call.leg.report().received, 13);
}

#[test]
fn timestamps_that_run_on_through_a_hold_leave_no_hole() {
    let mut call = Call::new(&GCM);
    call.leg.start_recording(call.now, LIMITS);
    call.speak(50, 0, LOUD);
    call.reoffer(&GCM, "a=sendonly\r\n");
    call.speak(50, 0, LOUD);
    call.reoffer(&GCM, "");
    call.speak(50, 0, LOUD);
    assert_eq!(call.leg.stop_recording(call.now).samples, 100 * 160);
}
