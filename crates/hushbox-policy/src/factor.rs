//! What is kept of a PIN: `HMAC-SHA256(pepper, Argon2id(PIN, salt))` (hipaa-controls 5.4).
//!
//! The pepper lies with the root key, outside of the data folder: without it the verifiers of a stolen index tell
//! nothing, though there are only 10^8 PINs.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
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
        if let Some(mac) = verifier.mac(pin, pepper) {
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
        let Some(mac) = self.mac(pin, pepper) else { return false };
        let equal = aws_lc_rs::constant_time::verify_slices_are_equal(mac.as_ref(), &self.mac);
        // The decoy's value is nobody's, whatever the hash comes to.
        equal.is_ok() & (self.mac != [0; 32])
    }

    fn mac(&self, pin: &Pin, pepper: &Pepper) -> Option<hmac::Tag> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut hash = Zeroizing::new([0; 32]);
        argon2.hash_password_into(pin.expose().as_bytes(), &self.salt, hash.as_mut()).ok()?;
        Some(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &pepper.0), hash.as_ref()))
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
