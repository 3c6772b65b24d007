//! SRTP and SRTCP by `webrtc-srtp` (RFC 3711, RFC 7714), or nothing at all for lab calls.

use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

use crate::error::Error;

/// A suite of SDES.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// RFC 7714 §14.2: AEAD_AES_256_GCM.
    AeadAes256Gcm,
    /// RFC 4568 §6.2.1: AES_CM_128_HMAC_SHA1_80.
    AesCm128HmacSha1_80,
}

impl Suite {
    /// Both, the stronger first.
    pub const ALL: [Self; 2] = [Self::AeadAes256Gcm, Self::AesCm128HmacSha1_80];

    /// Its name in `a=crypto`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
        }
    }

    /// Octets of master key and salt together.
    pub fn key_and_salt_length(self) -> usize {
        let (key, salt) = self.lengths();
        key + salt
    }

    fn lengths(self) -> (usize, usize) {
        match self {
            Self::AeadAes256Gcm => (32, 12),
            Self::AesCm128HmacSha1_80 => (16, 14),
        }
    }

    fn profile(self) -> ProtectionProfile {
        match self {
            Self::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
            Self::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        }
    }
}

/// A master key with its salt. Debug shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey(Vec<u8>);

impl MasterKey {
    /// Draws a key for a suite.
    pub fn random(suite: Suite) -> Result<Self, Error> {
        let mut bytes = vec![0; suite.key_and_salt_length()];
        crate::client::fill_random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Takes a key that the peer sent, if its length is the suite's.
    pub fn new(suite: Suite, bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == suite.key_and_salt_length()).then_some(Self(bytes))
    }

    /// For `a=crypto` only.
    pub fn to_base64(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&self.0)
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// One direction of a call's packets.
pub enum Shield {
    /// Packets go and come as they are.
    Plain,
    /// Packets are protected.
    Srtp(Box<Context>, Suite),
}

/// The replay window, in packets (RFC 3711 §3.3.2 asks for 64 at least).
const REPLAY_WINDOW: usize = 128;

impl Shield {
    /// A shield for one direction under one key.
    pub fn new(suite: Suite, key: &MasterKey) -> Result<Self, Error> {
        let (key_length, _) = suite.lengths();
        let (master, salt) = key.0.split_at(key_length);
        let context = Context::new(
            master,
            salt,
            suite.profile(),
            Some(srtp_replay_protection(REPLAY_WINDOW)),
            Some(srtcp_replay_protection(REPLAY_WINDOW)),
        );
        Ok(Self::Srtp(Box::new(context.map_err(failed)?), suite))
    }

    /// Protects an RTP packet.
    pub fn protect_rtp(&mut self, packet: Vec<u8>) -> Result<Vec<u8>, Error> {
        match self {
            Self::Plain => Ok(packet),
            Self::Srtp(context, _) => Ok(context.encrypt_rtp(&packet).map_err(failed)?.to_vec()),
        }
    }

    /// Protects an RTCP compound.
    pub fn protect_rtcp(&mut self, packet: Vec<u8>) -> Result<Vec<u8>, Error> {
        match self {
            Self::Plain => Ok(packet),
            Self::Srtp(context, _) => Ok(context.encrypt_rtcp(&packet).map_err(failed)?.to_vec()),
        }
    }

    /// Opens an RTP packet.
    pub fn open_rtp(&mut self, packet: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Plain => Ok(packet.to_vec()),
            Self::Srtp(..) if packet.len() < 12 => Err(Error::Srtp("too short".into())),
            Self::Srtp(context, _) => Ok(context.decrypt_rtp(packet).map_err(failed)?.to_vec()),
        }
    }

    /// Opens an RTCP compound.
    pub fn open_rtcp(&mut self, packet: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Plain => Ok(packet.to_vec()),
            // `webrtc-srtp` looks neither at the length nor, where the E flag is clear, at the tag:
            // RFC 3711 §3.4 makes authentication mandatory, and SDES agrees on encryption.
            Self::Srtp(_, suite) if !says_encrypted(*suite, packet) => {
                Err(Error::Srtp("SRTCP without encryption".into()))
            }
            Self::Srtp(context, _) => Ok(context.decrypt_rtcp(packet).map_err(failed)?.to_vec()),
        }
    }
}

/// Is the packet long enough, and is the E flag before its index set (RFC 3711 §3.4, RFC 7714 §9)?
fn says_encrypted(suite: Suite, packet: &[u8]) -> bool {
    let (tag_before_index, tag_after_index) = match suite {
        Suite::AeadAes256Gcm => (16, 0),
        Suite::AesCm128HmacSha1_80 => (0, 10),
    };
    let least = 8 + tag_before_index + 4 + tag_after_index;
    packet.len() >= least && packet[packet.len() - tag_after_index - 4] & 0x80 != 0
}

fn failed(error: webrtc_srtp::Error) -> Error {
    Error::Srtp(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp;

    #[test]
    fn both_suites_open_what_they_protect_and_nothing_else() {
        for suite in Suite::ALL {
            let key = MasterKey::random(suite).expect("random");
            let other = MasterKey::random(suite).expect("random");
            let packet = rtp::write(&rtp::Packet {
                payload_type: 0,
                marker: false,
                sequence_number: 1,
                timestamp: 2,
                ssrc: 3,
                payload: &[0x55; 160],
            });
            let mut sender = Shield::new(suite, &key).expect("key fits");
            let mut receiver = Shield::new(suite, &key).expect("key fits");
            let mut stranger = Shield::new(suite, &other).expect("key fits");
            let wire = sender.protect_rtp(packet.clone()).expect("protects");
            assert!(!wire.windows(16).any(|w| w == [0x55; 16]), "{}", suite.name());
            assert!(stranger.open_rtp(&wire).is_err());
            assert_eq!(receiver.open_rtp(&wire).expect("opens"), packet);
            assert!(receiver.open_rtp(&wire).is_err(), "a replay");
            let report = rtp::report(3, 0, 2, 1, 160, true);
            let wire = sender.protect_rtcp(report.clone()).expect("protects");
            assert!(stranger.open_rtcp(&wire).is_err());
            assert_eq!(receiver.open_rtcp(&wire).expect("opens"), report);
            let mut clear = report.clone();
            clear.extend_from_slice(&[0; 14]);
            assert!(receiver.open_rtcp(&clear).is_err(), "unencrypted and not authenticated");
            for length in 0..30 {
                assert!(receiver.open_rtcp(&wire[..length]).is_err());
                assert!(receiver.open_rtp(&wire[..length]).is_err());
            }
            assert_eq!(format!("{key:?}"), "MasterKey(…)");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_packet_makes_webrtc_srtp_panic(bytes in proptest::collection::vec(0u8.., 0..120)) {
            for suite in Suite::ALL {
                let key = MasterKey::new(suite, vec![7; suite.key_and_salt_length()]).expect("length");
                let mut shield = Shield::new(suite, &key).expect("key");
                proptest::prop_assert!(shield.open_rtp(&bytes).is_err());
                proptest::prop_assert!(shield.open_rtcp(&bytes).is_err());
            }
        }
    }
}
