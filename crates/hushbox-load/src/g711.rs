//! G.711 by its definition (ITU-T G.711 tables 1 and 2), computed instead of looked up.

/// A codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Mu-law, payload type 0 (RFC 3551 §4.5.14).
    Pcmu,
    /// A-law, payload type 8.
    Pcma,
}

impl Codec {
    /// The static payload type (RFC 3551 table 4).
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The encoding name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// The codec of a static payload type.
    pub fn of_payload_type(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Pcmu),
            8 => Some(Self::Pcma),
            _ => None,
        }
    }

    /// Encodes 16-bit samples.
    pub fn encode(self, samples: &[i16]) -> Vec<u8> {
        let one = match self {
            Self::Pcmu => mu_law_of,
            Self::Pcma => a_law_of,
        };
        samples.iter().map(|s| one(*s)).collect()
    }

    /// Decodes to 16-bit samples.
    pub fn decode(self, bytes: &[u8]) -> Vec<i16> {
        let one = match self {
            Self::Pcmu => of_mu_law,
            Self::Pcma => of_a_law,
        };
        bytes.iter().map(|b| one(*b)).collect()
    }
}

/// The bias that makes mu-law's segments powers of two, in 16-bit units.
const BIAS: i32 = 132;

fn mu_law_of(sample: i16) -> u8 {
    let magnitude = i32::from(sample).abs().min(32_635) + BIAS;
    // 7 for 2^14.., 0 for 2^7..
    let segment = (31 - magnitude.leading_zeros() as i32) - 7;
    let step = (magnitude >> (segment + 3)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !((sign | (segment << 4) | step) as u8)
}

fn of_mu_law(byte: u8) -> i16 {
    let bits = i32::from(!byte);
    let (segment, step) = ((bits >> 4) & 7, bits & 0x0f);
    let magnitude = (((step << 3) + BIAS) << segment) - BIAS;
    (if bits & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

fn a_law_of(sample: i16) -> u8 {
    // 13 bits: A-law's sign is set for what is not negative, -1 is the first negative interval.
    let value = i32::from(sample) >> 3;
    let (sign, magnitude) = if value >= 0 { (0x80, value) } else { (0, -value - 1) };
    let magnitude = magnitude.min(4095);
    let bits = if magnitude < 32 {
        magnitude >> 1
    } else {
        let segment = (31 - magnitude.leading_zeros() as i32) - 4;
        (segment << 4) | ((magnitude >> segment) & 0x0f)
    };
    (sign | bits) as u8 ^ 0x55
}

fn of_a_law(byte: u8) -> i16 {
    let bits = i32::from(byte ^ 0x55);
    let (segment, step) = ((bits >> 4) & 7, bits & 0x0f);
    let magnitude = match segment {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (segment - 1),
    };
    (if bits & 0x80 != 0 { magnitude } else { -magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_and_the_middle_are_those_of_the_tables() {
        // ITU-T G.711 table 2a: 8031 (14 bit) is 0x80, the value by zero 0xff; negative ones have bit 8 clear.
        assert_eq!(Codec::Pcmu.decode(&[0x80, 0x00, 0xff, 0x7f]), [32_124, -32_124, 0, 0]);
        assert_eq!(Codec::Pcmu.encode(&[32_124, -32_124, 0]), [0x80, 0x00, 0xff]);
        // Table 1a: 4032 (13 bit) and the least positive, even bits inverted.
        assert_eq!(Codec::Pcma.decode(&[0xaa, 0x2a, 0xd5, 0x55]), [32_256, -32_256, 8, -8]);
        assert_eq!(Codec::Pcma.encode(&[32_256, -32_256, 8, -8]), [0xaa, 0x2a, 0xd5, 0x55]);
    }

    #[test]
    fn every_code_survives_decoding_and_encoding() {
        for byte in 0..=255u8 {
            assert_eq!(Codec::Pcma.encode(&Codec::Pcma.decode(&[byte])), [byte]);
            // Mu-law's negative zero is heard as zero.
            let wanted = if byte == 0x7f { 0xff } else { byte };
            assert_eq!(Codec::Pcmu.encode(&Codec::Pcmu.decode(&[byte])), [wanted]);
        }
    }

    #[test]
    fn no_sample_is_farther_off_than_half_its_step() {
        for sample in i16::MIN..=i16::MAX {
            for codec in [Codec::Pcmu, Codec::Pcma] {
                let back = codec.decode(&codec.encode(&[sample]))[0];
                let error = (i32::from(back) - i32::from(sample)).abs();
                let bound = (i32::from(sample).abs() / 16).clamp(16, 2048);
                assert!(error <= bound.max(32), "{codec:?} {sample} {back}");
            }
        }
    }
}
