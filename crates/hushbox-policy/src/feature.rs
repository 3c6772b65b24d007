//! What a profile allows: a closed, compiled table. Nothing else in the product decides it.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Profile};

/// Whether a profile has a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// It is there.
    On,
    /// It is off unless somebody switches it on.
    Off,
    /// It is off, and a configuration or command that asks for it is refused.
    Locked,
}

/// A configuration or command asks for what the account's profile locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{feature} is locked off on {profile} accounts ({})", .feature.rule())]
pub struct Refused {
    /// What was asked for.
    pub feature: Feature,
    /// Under which profile.
    pub profile: Profile,
}

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $rule:literal, $hipaa:ident, $standard:ident;)*) => {
        /// A feature that depends on the profile. The rule ids are the rows of hipaa-controls 6.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Feature {
            $($(#[$doc])* $name,)*
        }

        impl Feature {
            /// Every feature that a profile decides.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in configuration, commands and records.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The rule that decides it.
            #[must_use]
            pub const fn rule(self) -> &'static str {
                match self {
                    $(Self::$name => $rule,)*
                }
            }

            /// What a profile says to it.
            #[must_use]
            pub const fn setting(self, profile: Profile) -> Setting {
                match (self, profile) {
                    $((Self::$name, Profile::Hipaa) => Setting::$hipaa,
                    (Self::$name, Profile::Standard) => Setting::$standard,)*
                }
            }
        }
    };
}

features! {
    /// A message's audio as text.
    Transcription = "transcription", "hipaa.6.transcription", Locked, Off;
    /// A message's audio as an attachment.
    EmailAudio = "email-audio", "hipaa.6.email-audio", Locked, Off;
    /// Forwarding messages to an email address.
    EmailForwarding = "email-forwarding", "hipaa.6.email-forwarding", Locked, Off;
    /// Notices by SMS or MMS.
    Sms = "sms", "hipaa.6.sms", Locked, Off;
    /// Faxes as email.
    FaxToEmail = "fax-to-email", "hipaa.6.fax-to-email", Locked, Locked;
    /// Listening through somebody else's application.
    ThirdPartyApp = "third-party-app", "hipaa.6.third-party-app", Locked, Off;
    /// Signalling without TLS.
    PlainSip = "plain-sip", "hipaa.6.plain-sip", Locked, On;
    /// Media without SRTP.
    PlainRtp = "plain-rtp", "hipaa.6.plain-rtp", Locked, On;
    /// Digest authentication with MD5.
    Md5Digest = "md5-digest", "hipaa.6.md5-digest", Locked, On;
    /// One PIN for several persons.
    SharedPin = "shared-pin", "hipaa.1.2.shared-pin", Locked, Locked;
    /// Log-in by the number that a call shows.
    CallerIdLogin = "caller-id-login", "hipaa.1.8.caller-id-login", Locked, Locked;
    /// Log-in from a telephone that is bound to nobody, with a TOTP.
    RemoteLogin = "remote-login", "hipaa.5.3.remote-login", Off, Off;
    /// A PIN that comes by SIP INFO.
    PinByInfo = "pin-by-sip-info", "hipaa.6.pin-by-sip-info", Locked, Locked;
    /// Calling the caller back from the menus.
    CallBack = "call-back", "hipaa.5.3.call-back", Locked, Locked;
    /// Any other outgoing call that a key, a caller or a header chooses.
    OutboundDialling = "outbound-dialling", "hipaa.5.3.outbound-dialling", Locked, Locked;
    /// A caller's number or name in a notice.
    PhiInNotices = "phi-in-notices", "hipaa.6.phi-in-notices", Locked, Off;
    /// Optional message headers in MWI (RFC 3842 §5.3): From, Subject, Date.
    MwiMessageHeaders = "mwi-message-headers", "hipaa.6.mwi-message-headers", Locked, Off;
    /// Forwarding a message to another account or outside.
    ForwardOutside = "forward-outside", "hipaa.6.forward-outside", Locked, Off;
    /// Recordings of signalling and media for debugging.
    WireCapture = "wire-capture", "hipaa.6.wire-capture", Locked, Locked;
    /// Telemetry and crash reports to somebody else.
    Telemetry = "telemetry", "hipaa.6.telemetry", Locked, Locked;
    /// A directory by name.
    DialByName = "dial-by-name", "hipaa.6.dial-by-name", Off, Off;
    /// A WAV of one message for a supervisor, with a reason.
    Export = "export", "hipaa.6.export", On, On;
}

impl Feature {
    /// Refuses what the profile locks.
    ///
    /// # Errors
    ///
    /// [`Refused`] with the feature, the profile and, in its text, the rule.
    pub const fn check(self, profile: Profile) -> Result<(), Refused> {
        match self.setting(profile) {
            Setting::On | Setting::Off => Ok(()),
            Setting::Locked => Err(Refused { feature: self, profile }),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Feature {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.iter().copied().find(|feature| feature.as_str() == text).ok_or(Error::Name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// ahead/policy-and-audit.md and hipaa-controls 6 name these.
    #[test]
    fn what_hipaa_locks_cannot_be_asked_for() {
        for name in [
            "transcription",
            "email-audio",
            "email-forwarding",
            "sms",
            "fax-to-email",
            "third-party-app",
            "plain-sip",
            "plain-rtp",
            "md5-digest",
            "shared-pin",
            "caller-id-login",
            "pin-by-sip-info",
            "call-back",
            "outbound-dialling",
            "phi-in-notices",
            "mwi-message-headers",
            "forward-outside",
            "wire-capture",
            "telemetry",
        ] {
            let feature: Feature = name.parse().unwrap();
            let refused = feature.check(Profile::Hipaa).unwrap_err();
            assert!(refused.to_string().contains(feature.rule()), "{refused}");
        }
    }

    #[test]
    fn hipaa_never_allows_more_than_standard() {
        for feature in Feature::ALL {
            if feature.check(Profile::Hipaa).is_ok() {
                assert!(feature.check(Profile::Standard).is_ok(), "{feature}");
            }
            if feature.setting(Profile::Hipaa) == Setting::On {
                assert_eq!(feature.setting(Profile::Standard), Setting::On, "{feature}");
            }
        }
    }

    #[test]
    fn no_two_features_share_a_name_or_a_rule() {
        let names: BTreeSet<_> = Feature::ALL.iter().map(|feature| feature.as_str()).collect();
        let rules: BTreeSet<_> = Feature::ALL.iter().map(|feature| feature.rule()).collect();
        assert_eq!((names.len(), rules.len()), (Feature::ALL.len(), Feature::ALL.len()));
    }
}
