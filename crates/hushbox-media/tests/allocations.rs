//! In steady state no packet costs an allocation: receiving and recording, playing and sending.
//!
//! One test only, since the count is the whole process's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hushbox_media::audio::{Audio, EncodedClip, tone};
use hushbox_media::{Input, Leg, LegConfig, Output, RecordingLimits, Security};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "there is no other way to count allocations")]
// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

const PACKET: Duration = Duration::from_millis(20);

#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
fn epoch() -> Instant {
    Instant::now()
}

fn config(port: u16) -> LegConfig {
    LegConfig {
        local_ip: [192, 0, 2, 1].into(),
        rtp_port: port,
        security: Security::SrtpOnly,
        seed: [port as u8; 32],
    }
}

/// Gives every output of `leg` to `packet`, and drops it.
fn drain(leg: &mut Leg, mut packet: impl FnMut(bool, &[u8])) {
    loop {
        match leg.poll_output() {
            Output::TransmitRtp { bytes, .. } => packet(false, &bytes),
            Output::TransmitRtcp { bytes, .. } => packet(true, &bytes),
            Output::Event(_) => {}
            Output::Timeout(_) => return,
        }
    }
}

/// A minute of a call: what the caller sends, and a server to send it to.
struct Call {
    now: Instant,
    caller: Leg,
    server: Leg,
}

impl Call {
    fn new(edit: fn(&str) -> String) -> Self {
        let now = epoch();
        let (mut caller, offer) = Leg::offer(now, config(4000));
        let offer = edit(std::str::from_utf8(&offer).expect("text"));
        let (mut server, answer) =
            Leg::answer(now, config(5000), offer.as_bytes()).expect("a good offer");
        caller.handle_answer(now, &answer).expect("a good answer");
        caller.start(now);
        server.start(now);
        let clip = EncodedClip::from_pcm(&tone::tone(440.0, -15.0, Duration::from_secs(120)));
        let clip = Arc::new(clip);
        caller.play(now, Audio::Clip(clip.clone()));
        server.play(now, Audio::Clip(clip));
        let limits =
            RecordingLimits { max: Duration::from_secs(600), ..RecordingLimits::default() };
        server.start_recording(now, limits);
        Self { now, caller, server }
    }

    /// Allocations of the server in this many packets' time.
    fn run(&mut self, packets: u32, wire: &mut Vec<(bool, Vec<u8>)>) -> u64 {
        let mut allocations = 0;
        for _ in 0..packets {
            self.now += PACKET;
            self.caller.handle_input(self.now, Input::Timeout);
            drain(&mut self.caller, |rtcp, bytes| wire.push((rtcp, bytes.to_vec())));
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            for (rtcp, bytes) in wire.iter_mut() {
                let from = SocketAddr::from(([192, 0, 2, 1], 4000 + u16::from(*rtcp)));
                let bytes = bytes.as_mut_slice();
                let input =
                    if *rtcp { Input::Rtcp { from, bytes } } else { Input::Rtp { from, bytes } };
                self.server.handle_input(self.now, input);
            }
            self.server.handle_input(self.now, Input::Timeout);
            drain(&mut self.server, |_, _| {});
            allocations += ALLOCATIONS.load(Ordering::Relaxed) - before;
            wire.clear();
        }
        allocations
    }
}

#[test]
fn no_packet_costs_an_allocation_in_steady_state() {
    let cm_only = |offer: &str| {
        offer
            .lines()
            .filter(|line| !line.contains("GCM"))
            .map(|line| format!("{line}\r\n"))
            .collect()
    };
    for edit in [|offer: &str| offer.to_owned(), cm_only] {
        let mut call = Call::new(edit);
        let mut wire = Vec::new();
        // The buffers find their size.
        call.run(500, &mut wire);
        assert_eq!(call.run(2000, &mut wire), 0);
        let report = call.server.report();
        assert!(report.received >= 2500 && report.sent >= 2500, "{report:?}");
    }
}
