//! What is kept of a PIN: `HMAC-SHA256(pepper, Argon2id(PIN, salt))` (hipaa-controls 5.4).
//!
//! The pepper lies with the root key, outside of the data folder: without it the verifiers of a stolen index tell
//! nothing, though there are only 10^8 PINs.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Error, Pin};

/// RFC 9106 and OWASP: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The most that a stored verifier may ask of the machine that checks it.
const MEMORY_KIB_MAX: u32 = 64 * 1024;
const PASSES_MAX: u32 = 8;
const LANES_MAX: u32 = 4;

/// The key of the verifiers.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Pepper([u8; 32]);

impl Pepper {
    /// The pepper that these bytes are.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

/// What a PIN is compared with. It is of no use without the pepper.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct PinVerifier {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; 16],
    mac: [u8; 32],
}

impl PinVerifier {
    /// The verifier of a new PIN. It takes as long as a check.
    #[must_use]
    pub fn make(pin: &Pin, pepper: &Pepper, salt: [u8; 16]) -> Self {
        let mut verifier = Self::decoy(salt);
        if let Some(mac) = verifier.mac(&mut Workspace::default(), pin, pepper) {
            verifier.mac.copy_from_slice(mac.as_ref());
        }
        verifier
    }

    /// A verifier that no PIN fits and that costs as much to check: for persons who do not exist.
    #[must_use]
    pub const fn decoy(salt: [u8; 16]) -> Self {
        Self { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt, mac: [0; 32] }
    }

    /// Whether this is the PIN. Takes tens of milliseconds of one core, the same for right and wrong.
    #[must_use]
    pub fn verify(&self, pin: &Pin, pepper: &Pepper) -> bool {
        self.verify_in(&mut Workspace::default(), pin, pepper)
    }

    /// The same in memory that is kept from one comparison to the next.
    #[must_use]
    pub fn verify_in(&self, workspace: &mut Workspace, pin: &Pin, pepper: &Pepper) -> bool {
        let Some(mac) = self.mac(workspace, pin, pepper) else { return false };
        let equal = aws_lc_rs::constant_time::verify_slices_are_equal(mac.as_ref(), &self.mac);
        // The decoy's value is nobody's, whatever the hash comes to.
        equal.is_ok() & (self.mac != [0; 32])
    }

    fn mac(&self, workspace: &mut Workspace, pin: &Pin, pepper: &Pepper) -> Option<hmac::Tag> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()?;
        let blocks = params.block_count();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut hash = Zeroizing::new([0; 32]);
        let pin = pin.expose().as_bytes();
        let filled = workspace.with(blocks, |memory| {
            argon2.hash_password_into_with_memory(pin, &self.salt, hash.as_mut(), memory)
        });
        filled.ok()?;
        Some(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &pepper.0), hash.as_ref()))
    }
}

/// The memory of Argon2id, 19 MiB: kept by whoever compares often, since asking the system for it each time leaves the
/// process with many times as much. What a comparison left in it is wiped before it ends.
#[derive(Default)]
pub struct Workspace(Vec<Block>);

impl Workspace {
    fn with<T>(&mut self, blocks: usize, fill: impl FnOnce(&mut [Block]) -> T) -> T {
        if self.0.len() < blocks {
            self.0.resize(blocks, Block::default());
        }
        let memory = &mut self.0[..blocks];
        let filled = fill(memory);
        memory.iter_mut().for_each(Zeroize::zeroize);
        filled
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workspace({} KiB)", self.0.len())
    }
}

impl fmt::Debug for PinVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinVerifier(…)")
    }
}

/// The verifier as the directory stores it.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    kind: String,
    m: u32,
    t: u32,
    p: u32,
    salt: String,
    mac: String,
}

const KIND: &str = "hmac-sha256-argon2id-v19";

impl From<PinVerifier> for Stored {
    fn from(verifier: PinVerifier) -> Self {
        Self {
            kind: KIND.to_owned(),
            m: verifier.memory_kib,
            t: verifier.passes,
            p: verifier.lanes,
            salt: hex::encode(verifier.salt),
            mac: hex::encode(verifier.mac),
        }
    }
}

impl TryFrom<Stored> for PinVerifier {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self, Error> {
        let bounded = (8..=MEMORY_KIB_MAX).contains(&stored.m)
            && (1..=PASSES_MAX).contains(&stored.t)
            && (1..=LANES_MAX).contains(&stored.p);
        if stored.kind != KIND || !bounded {
            return Err(Error::Verifier);
        }
        let mut verifier = Self {
            memory_kib: stored.m,
            passes: stored.t,
            lanes: stored.p,
            salt: [0; 16],
            mac: [0; 32],
        };
        hex::decode_to_slice(&stored.salt, &mut verifier.salt).map_err(|_| Error::Verifier)?;
        hex::decode_to_slice(&stored.mac, &mut verifier.mac).map_err(|_| Error::Verifier)?;
        Ok(verifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(digits: &str) -> Pin {
        Pin::new(digits).unwrap()
    }

    fn stored(m: u32, t: u32, p: u32, salt: &[u8; 16], mac: &str) -> Result<PinVerifier, Error> {
        let salt = hex::encode(salt);
        Stored { kind: KIND.to_owned(), m, t, p, salt, mac: mac.to_owned() }.try_into()
    }

    /// Computed with argon2-cffi 25.1.0 (the reference C code) and Python's hmac.
    #[test]
    fn verifiers_are_those_of_the_reference_code() {
        let salt = *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f";
        let pepper = Pepper::new([0x42; 32]);
        let mac = "15617fe78c9ba8dd5a933a58d5afa3dc8f0a94166ebc44860ddaaf65b55441c7";
        assert_eq!(hex::encode(PinVerifier::make(&pin("83920475"), &pepper, salt).mac), mac);
        assert!(stored(19456, 2, 1, &salt, mac).unwrap().verify(&pin("83920475"), &pepper));

        let pepper = Pepper::new([0; 32]);
        let mac = "2286699b0558247b9d7e35640daad608032575d3c8d49aa7930ce7a875ef0884";
        let made = PinVerifier::make(&pin("000000000001"), &pepper, [0xff; 16]);
        assert_eq!(hex::encode(made.mac), mac);
    }

    #[test]
    fn a_workspace_is_wiped_and_gives_what_fresh_memory_gives() {
        let pepper = Pepper::new([1; 32]);
        let verifier = PinVerifier::make(&pin("83920475"), &pepper, [2; 16]);
        let mut workspace = Workspace::default();
        for (digits, fits) in [("83920475", true), ("83920476", false), ("83920475", true)] {
            assert_eq!(verifier.verify_in(&mut workspace, &pin(digits), &pepper), fits);
            assert_eq!(workspace.0.len(), MEMORY_KIB as usize);
            assert!(workspace.0.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
        }
    }

    #[test]
    fn a_verifier_of_other_parameters_is_checked_with_its_own() {
        let pepper = Pepper::new(std::array::from_fn(|index| index as u8));
        let mac = "36db3fda79b448101fc2eece2e3d3fbb3f66141e1aa9d9ada4959200739c538d";
        let verifier = stored(8192, 3, 2, b"hushbox-salt-016", mac).unwrap();
        assert!(verifier.verify(&pin("1"), &pepper));
        assert!(!verifier.verify(&pin("2"), &pepper));
    }

    #[test]
    fn another_pin_another_pepper_and_another_salt_do_not_fit() {
        let pepper = Pepper::new([1; 32]);
        let verifier = PinVerifier::make(&pin("83920475"), &pepper, [2; 16]);
        assert!(verifier.verify(&pin("83920475"), &pepper));
        for wrong in ["83920474", "8392047", "839204750"] {
            assert!(!verifier.verify(&pin(wrong), &pepper), "{wrong}");
        }
        assert!(!verifier.verify(&pin("83920475"), &Pepper::new([3; 32])));
        assert_ne!(verifier, PinVerifier::make(&pin("83920475"), &pepper, [4; 16]));
    }

    #[test]
    fn nothing_fits_a_decoy() {
        let pepper = Pepper::new([1; 32]);
        assert!(!PinVerifier::decoy([2; 16]).verify(&pin("83920475"), &pepper));
    }

    #[test]
    fn a_verifier_reads_back_from_the_directory() {
        let verifier = PinVerifier::make(&pin("83920475"), &Pepper::new([1; 32]), [2; 16]);
        let json = serde_json::to_string(&verifier).unwrap();
        assert!(!json.contains("83920475"));
        assert_eq!(serde_json::from_str::<PinVerifier>(&json).unwrap(), verifier);
    }

    #[test]
    fn a_verifier_of_the_first_kind_is_still_written_and_read() {
        let golden = concat!(
            r#"{"kind":"hmac-sha256-argon2id-v19","m":19456,"t":2,"p":1,"#,
            r#""salt":"000102030405060708090a0b0c0d0e0f","#,
            r#""mac":"15617fe78c9ba8dd5a933a58d5afa3dc8f0a94166ebc44860ddaaf65b55441c7"}"#,
        );
        let verifier: PinVerifier = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&verifier).unwrap(), golden);
    }

    #[test]
    fn a_row_cannot_ask_for_more_work_than_the_machine_has() {
        let mac = "00".repeat(32);
        for (m, t, p) in [(1 << 31, 2, 1), (19456, 1000, 1), (19456, 2, 64), (0, 2, 1), (8, 0, 1)] {
            assert_eq!(stored(m, t, p, &[0; 16], &mac), Err(Error::Verifier), "{m} {t} {p}");
        }
        assert_eq!(stored(19456, 2, 1, &[0; 16], "00"), Err(Error::Verifier));
    }

    #[test]
    fn neither_verifier_nor_pepper_prints_itself() {
        let verifier = PinVerifier::decoy([2; 16]);
        let text = format!("{verifier:?} {:?}", Pepper::new([1; 32]));
        assert_eq!(text, "PinVerifier(…) Pepper(…)");
    }
}
