//! What the simulations say in one line.

use std::time::Duration;

use hushbox_call::signalling::Peer;
use hushbox_load::srtp::Suite;
use hushbox_sip::Transport;
use hushbox_tests::world::caller::Offer;
use hushbox_tests::world::installation::{TRUNK, device};
use hushbox_tests::world::{CallerId, World};

pub(crate) const GCM: Offer = Offer::Srtp(Suite::AeadAes256Gcm);
pub(crate) const CM: Offer = Offer::Srtp(Suite::AesCm128HmacSha1_80);

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What random runs choose by.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).expect("short"))).expect("below it")
    }
}

/// A connection of the PBX.
pub(crate) fn pbx(world: &mut World) -> CallerId {
    world.connect(Transport::Tls, Peer::Trunk(TRUNK))
}

/// A connection of a telephone, by its certificate.
pub(crate) fn telephone(world: &mut World, name: &str) -> CallerId {
    world.connect(Transport::Tls, Peer::Device(device(name)))
}

/// Calls and waits for the final response.
pub(crate) fn call(world: &mut World, caller: CallerId, uri: &str, offer: Offer) -> u16 {
    world.with(caller, |c, now, agenda| c.invite(now, agenda, uri, offer));
    world.run_until("an answer", 5 * SECOND, |w| w.caller(caller).answer().is_some());
    world.caller(caller).answer().map(|answer| answer.status).unwrap_or_default()
}

/// Presses keys.
pub(crate) fn press(world: &mut World, caller: CallerId, keys: &str) {
    world.with(caller, |c, _, _| c.press(keys));
}

/// Hangs up.
pub(crate) fn bye(world: &mut World, caller: CallerId) {
    world.with(caller, |c, now, agenda| c.bye(now, agenda));
    world.run_for(SECOND);
}

/// Waits until a prompt begins.
pub(crate) fn hears(world: &mut World, caller: CallerId, prompt: &'static str, within: Duration) {
    let heard = std::cell::Cell::new(false);
    world.run_until(prompt, within, |w| {
        heard.set(heard.get() || w.caller(caller).take_prompts().contains(&prompt));
        heard.get()
    });
}

/// Waits until the beep is over: the recorder runs.
pub(crate) fn beep(world: &mut World) {
    world.run_until("recording", 30 * SECOND, |w| w.server.stage() == Some("Recording"));
}

/// So many seconds of something like a voice: PCMU that never repeats and is never silent.
pub(crate) fn voice(seed: u32, seconds: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    (0..seconds * 8000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            // Loud octets of either sign.
            let octet = u8::try_from(state >> 24).expect("a byte");
            (octet & 0x80) | (octet & 0x3f)
        })
        .collect()
}

/// Where `part` stands in `whole`, octet for octet; the second number is its length there up to the first difference.
pub(crate) fn find(whole: &[u8], part: &[u8]) -> Option<(usize, usize)> {
    let start = whole.windows(64).position(|piece| piece == &part[..64])?;
    let same = whole[start..].iter().zip(part).take_while(|(a, b)| a == b).count();
    Some((start, same))
}

/// Leaves a message of that voice through the PBX and hangs up by `#`.
pub(crate) fn leave(world: &mut World, uri: &str, voice: &[u8]) {
    let caller = pbx(world);
    assert_eq!(call(world, caller, uri, GCM), 200);
    beep(world);
    world.with(caller, |c, _, _| c.speak(voice));
    world.run_for(Duration::from_millis(u64::try_from(voice.len() / 8).expect("short")));
    press(world, caller, "#");
    world.run_until("BYE", 10 * SECOND, |w| w.caller(caller).hung_up_on);
    world.run_for(SECOND);
}
