//! Why a person did not take a call: it picks the greeting.

use hushbox_sip::retargeting::{DiversionReason, ReasonCause};

/// Why a person did not take a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Another call was on.
    Busy,
    /// It rang, and nobody answered.
    NoAnswer,
    /// The telephone is off or out of reach, or the call was turned away.
    Unavailable,
    /// All calls come here.
    Unconditional,
}

impl Cause {
    /// The name, as records have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Unavailable => "unavailable",
            Self::Unconditional => "unconditional",
        }
    }

    /// A SIP status: `cause` of RFC 4458 §2.2, and Reason's of RFC 3326.
    pub(super) fn of_status(status: u16) -> Option<Self> {
        Some(match status {
            486 | 600 => Self::Busy,
            408 => Self::NoAnswer,
            300..=305 => Self::Unconditional,
            // RFC 8119 §3: a service number was translated: it says nothing of a person.
            380 => return None,
            // RFC 4458 §2.2: 404 unknown or not there, 480 and 487 turned away, 503 out of reach.
            400..=699 => Self::Unavailable,
            _ => return None,
        })
    }

    pub(super) fn of_reason(reason: ReasonCause) -> Option<Self> {
        match reason {
            ReasonCause::Sip(status) => Self::of_status(status),
            // ITU-T Q.850 §2.2.7.1.
            ReasonCause::Q850(17) => Some(Self::Busy),
            ReasonCause::Q850(18 | 19) => Some(Self::NoAnswer),
            ReasonCause::Q850(1 | 3 | 20 | 21 | 22 | 27 | 38) => Some(Self::Unavailable),
            ReasonCause::Q850(_) => None,
        }
    }

    /// RFC 5806 §4; the same classes as RFC 7544 §7 makes of them.
    pub(super) fn of_diversion(reason: DiversionReason) -> Option<Self> {
        match reason {
            DiversionReason::UserBusy => Some(Self::Busy),
            DiversionReason::NoAnswer => Some(Self::NoAnswer),
            DiversionReason::Unconditional
            | DiversionReason::TimeOfDay
            | DiversionReason::FollowMe => Some(Self::Unconditional),
            DiversionReason::Unavailable
            | DiversionReason::DoNotDisturb
            | DiversionReason::Deflection
            | DiversionReason::OutOfService
            | DiversionReason::Away => Some(Self::Unavailable),
            DiversionReason::Unknown => None,
        }
    }
}
