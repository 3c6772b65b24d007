//! Prompts that a caller of the simulation can read: each is a sound of its own, so what is heard can be written down.

use std::sync::Arc;

use hushbox_call::Prompts;
use hushbox_call::prompt;
use hushbox_media::audio::Codec;

/// How long each prompt is: 400 ms.
pub const PROMPT_SAMPLES: usize = 3200;

/// The two octets (mu-law) that a prompt's samples alternate between: its place in the list, in base 100, away from
/// the octets of silence.
fn octets(place: usize) -> [u8; 2] {
    [
        0x10 + u8::try_from(place / 100).expect("few prompts"),
        0x10 + u8::try_from(place % 100).expect("below 100"),
    ]
}

/// The language of the simulation.
pub fn prompts() -> Arc<Prompts> {
    let names: Vec<&str> = prompt::all().map(|id| id.as_str()).collect();
    let prompts = Prompts::load(|name| {
        let place = names.iter().position(|known| *known == name)?;
        let pair = octets(place);
        Some((0..PROMPT_SAMPLES).map(|i| Codec::Pcmu.decode(pair[i % 2])).collect())
    });
    Arc::new(prompts.expect("every prompt"))
}

/// The prompt that a packet's payload is a piece of.
pub fn recognise(payload: &[u8]) -> Option<&'static str> {
    let pair = payload.first_chunk::<2>()?;
    if payload.chunks(2).any(|piece| piece != &pair[..piece.len()]) {
        return None;
    }
    prompt::all().enumerate().find(|(place, _)| octets(*place) == *pair).map(|(_, id)| id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prompt_is_recognised_and_silence_is_none() {
        for (place, id) in prompt::all().enumerate() {
            assert_eq!(recognise(&octets(place).repeat(80)), Some(id.as_str()));
        }
        assert_eq!(recognise(&[0xff; 160]), None);
        assert_eq!(recognise(&[]), None);
    }
}
