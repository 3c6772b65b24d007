//! G.711 both ways, as 16-bit linear PCM (ITU-T G.711; the tables of G.191's `g711.c`).

const ULAW_BIAS: i32 = 0x84;
const ULAW_CLIP: i32 = 32_635;

static ULAW: [i16; 256] = ulaw_table();
static ALAW: [i16; 256] = alaw_table();

/// mu-law octet to linear PCM.
pub fn ulaw_decode(octet: u8) -> i16 {
    ULAW[usize::from(octet)]
}

/// A-law octet to linear PCM.
pub fn alaw_decode(octet: u8) -> i16 {
    ALAW[usize::from(octet)]
}

/// Linear PCM to mu-law.
pub fn ulaw_encode(sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = i32::from(sample).abs().min(ULAW_CLIP) + ULAW_BIAS;
    // The segment is the place of the highest bit above bit 7; the bias keeps it there or higher.
    let segment = (31 - magnitude.leading_zeros()).saturating_sub(7);
    let mantissa = (magnitude >> (segment + 3)) & 0x0f;
    let code = ((segment as u8) << 4) | mantissa as u8 | if negative { 0x80 } else { 0 };
    !code
}

/// Linear PCM to A-law.
pub fn alaw_encode(sample: i16) -> u8 {
    // A-law's negative half is the ones' complement of its positive half.
    let (sign, magnitude) =
        if sample >= 0 { (0x80, i32::from(sample)) } else { (0, !i32::from(sample)) };
    let magnitude = magnitude >> 4;
    let code = if magnitude < 32 {
        // The two lowest segments share one step.
        magnitude
    } else {
        let segment = 28 - (magnitude as u32).leading_zeros() as i32;
        (segment << 4) | ((magnitude >> (segment - 1)) & 0x0f)
    };
    (code as u8 | sign) ^ 0x55
}

const fn ulaw_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let code = !(octet as u8);
        let segment = (code >> 4) & 7;
        let mantissa = (code & 0x0f) as i32;
        let magnitude = (((mantissa << 3) + ULAW_BIAS) << segment) - ULAW_BIAS;
        table[octet] = if code & 0x80 != 0 { -magnitude } else { magnitude } as i16;
        octet += 1;
    }
    table
}

const fn alaw_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let code = (octet as u8) ^ 0x55;
        let segment = (code >> 4) & 7;
        let mantissa = ((code & 0x0f) as i32) << 4;
        let magnitude = match segment {
            0 => mantissa + 8,
            1 => mantissa + 0x108,
            segment => (mantissa + 0x108) << (segment - 1),
        };
        table[octet] = if code & 0x80 != 0 { magnitude } else { -magnitude } as i16;
        octet += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_of_the_recommendation() {
        assert_eq!(ulaw_decode(0xff), 0);
        assert_eq!(ulaw_decode(0x7f), 0);
        assert_eq!(ulaw_decode(0x80), 32_124);
        assert_eq!(ulaw_decode(0x00), -32_124);
        assert_eq!(alaw_decode(0xd5), 8);
        assert_eq!(alaw_decode(0x55), -8);
        assert_eq!(alaw_decode(0xaa), 32_256);
        assert_eq!(alaw_decode(0x2a), -32_256);
    }

    #[test]
    fn every_octet_survives_decoding_and_encoding() {
        for octet in 0..=255u8 {
            // 0x7f is minus zero, which linear PCM does not have.
            if octet != 0x7f {
                assert_eq!(ulaw_encode(ulaw_decode(octet)), octet, "mu-law {octet:#x}");
            }
            assert_eq!(alaw_encode(alaw_decode(octet)), octet, "A-law {octet:#x}");
        }
    }

    #[test]
    fn encoding_takes_a_near_step() {
        for sample in i16::MIN..=i16::MAX {
            for decoded in [ulaw_decode(ulaw_encode(sample)), alaw_decode(alaw_encode(sample))] {
                let error = (i32::from(sample) - i32::from(decoded)).abs();
                assert!(error <= 16 + i32::from(sample).abs() / 16, "{sample} became {decoded}");
            }
        }
    }

    #[test]
    fn speech_levels_keep_35_db_over_the_noise() {
        for level in [-30.0, -20.0, -10.0, 0.0] {
            let samples = crate::audio::tone::tone(997.0, level, std::time::Duration::from_secs(1));
            for codec in [crate::audio::Codec::Pcmu, crate::audio::Codec::Pcma] {
                let (mut signal, mut noise) = (0.0, 0.0);
                for &sample in &samples {
                    let decoded = codec.decode(codec.encode(sample));
                    signal += f64::from(sample).powi(2);
                    noise += (f64::from(sample) - f64::from(decoded)).powi(2);
                }
                let ratio = 10.0 * (signal / noise).log10();
                assert!(ratio > 35.0, "{codec:?} at {level} dBm0: {ratio} dB");
            }
        }
    }
}
