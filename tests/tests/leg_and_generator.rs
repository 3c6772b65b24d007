//! Both ends of a call's media without a network: the server's leg, and the generator's SDP, SRTP
//! (`webrtc-srtp`), G.711 and RTP, which share no line with it. Virtual time, a link that loses and reorders.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hushbox_load::g711::Codec;
use hushbox_load::rtp::{self, Packet};
use hushbox_load::sdp::{Agreement, Offer, Security};
use hushbox_load::srtp::{Shield, Suite};
use hushbox_load::timeline::{RATE, Timeline};
use hushbox_load::voice::babble;
use hushbox_load::{g711, measure};
use hushbox_media::audio::{Audio, EncodedClip};
use hushbox_media::recording::Decoder;
use hushbox_media::{Event, Input, Leg, LegConfig, Output, RecordingLimits};

const FRAME: usize = 160;
const PTIME: Duration = Duration::from_millis(20);

/// What the generator sends and hears.
struct Generator {
    agreement: Agreement,
    protect: Shield,
    open: Shield,
    address: SocketAddr,
    sequence_number: u16,
    timestamp: u32,
    heard: Timeline,
    refused: usize,
    reports: usize,
    bye: bool,
}

impl Generator {
    fn new(offer: &Offer, answer: &[u8], sequence_number: u16) -> Self {
        let agreement = offer.read_answer(answer).expect("an answer to the offer");
        let (protect, open) = match &agreement.keys {
            None => (Shield::Plain, Shield::Plain),
            Some((suite, ours, theirs)) => (
                Shield::new(*suite, ours).expect("ours"),
                Shield::new(*suite, theirs).expect("theirs"),
            ),
        };
        Self {
            agreement,
            protect,
            open,
            address: offer.local,
            sequence_number,
            timestamp: 0xffff_f000,
            heard: Timeline::default(),
            refused: 0,
            reports: 0,
            bye: false,
        }
    }

    /// The next packet: a frame of sound, or of a telephone event that began at this RTP time.
    fn packet(&mut self, payload: &[u8], event_began: Option<u32>) -> Vec<u8> {
        let events = self.agreement.telephone_event.expect("telephone events");
        let packet = rtp::write(&Packet {
            payload_type: if event_began.is_some() {
                events
            } else {
                self.agreement.codec.payload_type()
            },
            marker: false,
            sequence_number: self.sequence_number,
            timestamp: event_began.unwrap_or(self.timestamp),
            ssrc: 0x5eed,
            payload,
        });
        self.sequence_number = self.sequence_number.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        self.protect.protect_rtp(packet).expect("protects")
    }

    fn take(&mut self, now: Instant, output: Output) -> Option<Event> {
        match output {
            Output::TransmitRtp { to, bytes } => {
                assert_eq!(to, self.address);
                match self.open.open_rtp(&bytes) {
                    Err(_) => self.refused += 1,
                    Ok(opened) => {
                        let packet = rtp::parse(&opened).expect("RTP");
                        let codec = Codec::of_payload_type(packet.payload_type).expect("a codec");
                        let samples = codec.decode(packet.payload);
                        self.heard.place(now, packet.ssrc, packet.timestamp, &samples);
                    }
                }
                None
            }
            Output::TransmitRtcp { bytes, .. } => {
                let opened = self.open.open_rtcp(&bytes).expect("SRTCP");
                let types = rtp::rtcp_types(&opened).expect("a compound");
                self.reports += 1;
                self.bye |= types.contains(&203);
                None
            }
            Output::Event(event) => Some(event),
            Output::Timeout(_) => None,
        }
    }
}

/// Both ends, and the time.
struct Call {
    now: Instant,
    leg: Leg,
    generator: Generator,
    events: Vec<Event>,
}

impl Call {
    fn new(security: &Security, codecs: &[Codec], sequence_number: u16) -> Self {
        let now = Instant::now();
        let local = "192.0.2.1:4000".parse().expect("an address");
        let offer = Offer::new(local, security, codecs, 1).expect("an offer");
        let config = LegConfig {
            local_ip: [192, 0, 2, 2].into(),
            rtp_port: 30_000,
            security: match security {
                Security::Plain => hushbox_media::Security::Lab,
                Security::Sdes(_) => hushbox_media::Security::SrtpOnly,
            },
            seed: [9; 32],
        };
        let (leg, answer) = Leg::answer(now, config, offer.text().as_bytes()).expect("accepted");
        let generator = Generator::new(&offer, &answer, sequence_number);
        let mut call = Self { now, leg, generator, events: Vec::new() };
        call.leg.start(now);
        call.drain();
        call
    }

    fn drain(&mut self) {
        loop {
            match self.leg.poll_output() {
                Output::Timeout(_) => return,
                output => self.events.extend(self.generator.take(self.now, output)),
            }
        }
    }

    fn arrive(&mut self, mut wire: Vec<u8>) {
        let from = self.generator.address;
        self.leg.handle_input(self.now, Input::Rtp { from, bytes: &mut wire });
        self.drain();
    }

    fn pass(&mut self, length: Duration) {
        self.now += length;
        self.leg.handle_input(self.now, Input::Timeout);
        self.drain();
    }

    /// Says it through a link that loses every `lose`th packet and swaps every `swap`th with the next.
    fn say(&mut self, samples: &[i16], lose: usize, swap: usize) {
        let mut late = None;
        for (number, frame) in (1..).zip(samples.chunks(FRAME)) {
            let payload = self.generator.agreement.codec.encode(frame);
            let wire = self.generator.packet(&payload, None);
            if number % lose == 0 {
                drop(wire);
            } else if number % swap == 0 {
                late = Some(wire);
            } else {
                self.arrive(wire);
                if let Some(wire) = late.take() {
                    self.arrive(wire);
                }
            }
            self.pass(PTIME);
        }
    }

    fn press(&mut self, digit: char) {
        let began = self.generator.timestamp;
        for step in 1..=6u16 {
            let payload = rtp::telephone_event(digit, step > 3, step.min(4) * 160).expect("a key");
            let wire = self.generator.packet(&payload, Some(began));
            self.arrive(wire);
            self.pass(PTIME);
        }
    }

    fn recorded(&mut self) -> Vec<i16> {
        self.leg.stop_recording(self.now);
        self.drain();
        let mut decoder = Decoder::default();
        for event in self.events.drain(..) {
            if let Event::Frames(bytes) = event {
                decoder.push(&bytes).expect("frames");
            }
        }
        decoder.finish();
        let mut samples = Vec::new();
        loop {
            let next = decoder.pull();
            if next.is_empty() {
                return samples;
            }
            samples.extend(next);
        }
    }
}

const NEVER: usize = usize::MAX;

fn every_way() -> Vec<(Security, Codec)> {
    let mut ways = Vec::new();
    for codec in [Codec::Pcmu, Codec::Pcma] {
        ways.push((Security::Plain, codec));
        ways.extend(Suite::ALL.map(|suite| (Security::Sdes(vec![suite]), codec)));
    }
    ways
}

#[test]
fn what_the_leg_plays_is_heard_sample_by_sample() {
    for (security, codec) in every_way() {
        let mut call = Call::new(&security, &[codec], 1);
        let prompt = babble([3; 32], 2 * RATE);
        call.leg.play(call.now, Audio::Clip(Arc::new(EncodedClip::from_pcm(&prompt))));
        for _ in 0..130 {
            call.pass(PTIME);
        }
        assert!(call.events.contains(&Event::PlaybackFinished), "{security:?}");
        assert_eq!(call.generator.refused, 0);
        let wanted = codec.decode(&codec.encode(&prompt));
        let found = measure::find(&wanted, call.generator.heard.samples()).expect("heard");
        assert!(found.correlation > 0.999_999, "{security:?} {codec:?} {found:?}");
        call.pass(Duration::from_secs(6));
        assert!(call.generator.reports > 0, "RTCP within six seconds");
        call.leg.hang_up(call.now);
        call.drain();
        assert!(call.generator.bye, "an RTCP BYE at the end");
    }
}

#[test]
fn what_the_generator_says_is_recorded_bit_by_bit() {
    for (security, codec) in every_way() {
        let mut call = Call::new(&security, &[codec], 1);
        call.leg.start_recording(call.now, RecordingLimits::default());
        let said = babble([4; 32], 3 * RATE);
        call.say(&said, NEVER, NEVER);
        let recorded = call.recorded();
        assert_eq!(recorded, codec.decode(&codec.encode(&said)), "{security:?} {codec:?}");
    }
}

#[test]
fn loss_is_silence_and_disorder_is_order_across_the_rollover() {
    for suite in Suite::ALL {
        // Two seconds before the sequence number, and with it the rollover counter, turns over.
        let mut call = Call::new(&Security::Sdes(vec![suite]), &[Codec::Pcmu], 65_436);
        call.leg.start_recording(call.now, RecordingLimits::default());
        let said = babble([5; 32], 6 * RATE);
        call.say(&said, 10, 7);
        let recorded = call.recorded();
        let wanted = g711::Codec::Pcmu.decode(&g711::Codec::Pcmu.encode(&said));
        assert!(recorded.len().abs_diff(wanted.len()) <= FRAME, "{}", recorded.len());
        for (number, (got, wanted)) in (1..).zip(recorded.chunks(FRAME).zip(wanted.chunks(FRAME))) {
            if number % 10 != 0 {
                assert_eq!(got, wanted, "{suite:?} frame {number}");
            }
        }
        let report = call.leg.report();
        assert_eq!((report.auth_failures, report.dropped), (0, 0), "{report:?}");
    }
}

#[test]
fn each_key_is_one_digit_and_no_sound() {
    for (security, codec) in every_way() {
        let mut call = Call::new(&security, &[codec], 1);
        let said = babble([6; 32], RATE);
        call.say(&said[..RATE / 2], NEVER, NEVER);
        for digit in "*97110#".chars() {
            call.press(digit);
            call.say(&said[RATE / 2..], NEVER, NEVER);
        }
        let digits: String = call
            .events
            .iter()
            .filter_map(|e| if let Event::Digit(digit) = e { Some(*digit) } else { None })
            .collect();
        assert_eq!(digits, "*97110#", "{security:?}");
    }
}

#[test]
fn a_stranger_with_another_key_is_not_heard_and_changes_nothing() {
    for suite in Suite::ALL {
        let security = Security::Sdes(vec![suite]);
        let mut call = Call::new(&security, &[Codec::Pcmu], 1);
        let mut stranger = Call::new(&security, &[Codec::Pcmu], 1);
        call.leg.start_recording(call.now, RecordingLimits::default());
        let said = babble([7; 32], RATE);
        for frame in said.chunks(FRAME) {
            let forged = stranger.generator.packet(&Codec::Pcmu.encode(&[9; FRAME]), None);
            call.arrive(forged);
            let plain = rtp::write(&Packet {
                payload_type: 0,
                marker: false,
                sequence_number: 500,
                timestamp: 7,
                ssrc: 1,
                payload: &[0; FRAME],
            });
            call.arrive(plain);
            let wire = call.generator.packet(&Codec::Pcmu.encode(frame), None);
            let replay = wire.clone();
            call.arrive(wire);
            call.arrive(replay);
            call.pass(PTIME);
        }
        let report = call.leg.report();
        assert_eq!(report.received, 50, "{report:?}");
        assert_eq!(report.replays, 50, "{report:?}");
        assert_eq!(call.recorded(), Codec::Pcmu.decode(&Codec::Pcmu.encode(&said)));
    }
}

#[test]
fn an_offer_of_the_leg_is_answered_by_the_generator() {
    let now = Instant::now();
    let config = LegConfig {
        local_ip: [192, 0, 2, 2].into(),
        rtp_port: 30_000,
        security: hushbox_media::Security::SrtpOnly,
        seed: [1; 32],
    };
    let (mut leg, offered) = Leg::offer(now, config);
    let local = "192.0.2.1:4000".parse().expect("an address");
    let mut ours =
        Offer::new(local, &Security::Sdes(Suite::ALL.to_vec()), &[Codec::Pcma], 1).expect("ours");
    let agreement = ours.answer(&offered).expect("agreed");
    assert_eq!(agreement.keys.as_ref().map(|k| k.0), Some(Suite::AeadAes256Gcm));
    leg.handle_answer(now, ours.text().as_bytes()).expect("taken");
    assert_eq!(leg.report().suite.map(|s| format!("{s:?}")), Some("AeadAes256Gcm".into()));
}
