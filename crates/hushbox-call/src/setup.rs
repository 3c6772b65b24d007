//! What a call starts with, and what it says to signalling and hears from it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use hushbox_audit::{Detail, Event as AuditEvent};
use hushbox_media::Security;
use hushbox_media::sdp::SessionDescription;
use hushbox_policy::{
    AddressRule, CallId, CallerName, CallerNumber, DeviceId, Profile, Surface, TrunkId, Wish,
};
use hushbox_sip::retargeting::ReasonCause;
use hushbox_sip::{CallIdHash, Reason, Rejection, RequestId, Transport};
use hushbox_store::model::Mailbox;

use crate::EndReason;
use crate::addressing::Cause;
use crate::tui::login::Refusal;

/// An admitted call: who it is from, what it is for, what it offers.
pub struct CallSetup {
    /// Its id in logs.
    pub id: CallId,
    /// What it is for.
    pub purpose: Purpose,
    /// The SDP offer; `None` wants ours.
    pub offer: Option<Bytes>,
    /// The caller's number, for the envelope.
    pub caller_number: Option<CallerNumber>,
    /// The caller's name, for the envelope.
    pub caller_name: Option<CallerName>,
    /// What it came over.
    pub transport: Transport,
    /// Where its signalling came from.
    pub peer: IpAddr,
    /// Stands for its SIP Call-ID in logs.
    pub call_id_hash: CallIdHash,
    /// Who calls.
    pub caller: Caller,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// A telephone.
    Device(DeviceId),
    /// A PBX.
    Trunk(TrunkId),
}

impl Caller {
    /// The PBX, if it is one.
    #[must_use]
    pub fn trunk(self) -> Option<TrunkId> {
        match self {
            Caller::Trunk(id) => Some(id),
            Caller::Device(_) => None,
        }
    }

    /// Adds to an audit event over whose connection the call came: nobody has proved yet who holds the telephone.
    pub(crate) fn note_in(self, event: &mut AuditEvent) {
        match self {
            Caller::Device(id) => event.device = Some(id),
            Caller::Trunk(id) => {
                event.detail = std::mem::take(&mut event.detail).with("trunk", id.as_uuid());
            }
        }
    }
}

impl CallSetup {
    /// Whether its media may go in clear: on `lab` listeners alone.
    pub fn security(&self) -> Security {
        match self.transport {
            Transport::Tls => Security::SrtpOnly,
            Transport::Udp | Transport::Tcp => Security::Lab,
        }
    }

    /// Where its media is: what its offer says, else where its signalling came from.
    pub fn media_peer(&self) -> IpAddr {
        let offer = self.offer.as_deref().and_then(|sdp| SessionDescription::parse(sdp).ok());
        offer.and_then(|offer| offer.media_address()).unwrap_or(self.peer)
    }

    /// Where its log-in comes from, for policy.
    pub fn surface(&self) -> Surface {
        match self.transport {
            Transport::Tls => Surface::Phone,
            Transport::Udp | Transport::Tcp => Surface::LabPhone,
        }
    }
}

impl fmt::Debug for CallSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallSetup")
            .field("id", &self.id)
            .field("purpose", &self.purpose)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

/// What a call is for.
pub enum Purpose {
    /// Leaving a message.
    Deposit {
        /// In this mailbox.
        mailbox: Box<Mailbox>,
        /// Under the profile of its account now.
        profile: Profile,
        /// Why its person did not take the call, where that is known: it picks the greeting.
        cause: Option<Cause>,
        /// What named it.
        why: Chosen,
    },
    /// Leaving one more message in this mailbox than a caller may in a while: that is all the caller hears.
    RefusedDeposit {
        /// In this mailbox.
        mailbox: Box<Mailbox>,
        /// Under the profile of its account now.
        profile: Profile,
    },
    /// Hearing messages, from this device.
    Retrieval(DeviceId),
    /// Asking to hear messages from where, or when, nobody can.
    RefusedRetrieval(Refusal),
}

/// Why it is this mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// What in the request named it; none where it is the catch-all mailbox.
    pub rule: Option<AddressRule>,
    /// What else in it was believed, named somebody else, and came later.
    pub against: BTreeSet<AddressRule>,
}

impl Chosen {
    /// What the audit log has of it where a request contradicts itself: what held, and what was left aside.
    pub(crate) fn noted_in(&self, mut detail: Detail) -> Detail {
        if self.against.is_empty() {
            return detail;
        }
        detail = detail.with("mailbox-by", self.rule.map_or("catch-all", AddressRule::as_str));
        for rule in &self.against {
            let name = match rule {
                AddressRule::Target => "against-target",
                AddressRule::HistoryInfo => "against-history-info",
                AddressRule::Diversion => "against-diversion",
                AddressRule::RequestUri => "against-request-uri",
            };
            detail = detail.with(name, true);
        }
        detail
    }
}

impl Purpose {
    /// What that is for admission.
    pub(crate) fn wish(&self) -> Wish {
        match self {
            Purpose::Deposit { .. } => Wish::Deposit,
            Purpose::RefusedDeposit { .. } => Wish::TooManyDeposits,
            Purpose::Retrieval(_) => Wish::Retrieval,
            Purpose::RefusedRetrieval(_) => Wish::HopelessRetrieval,
        }
    }
}

impl fmt::Debug for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Purpose::Deposit { mailbox, profile, .. } => {
                write!(f, "Deposit({}, {profile:?})", mailbox.id)
            }
            Purpose::RefusedDeposit { mailbox, .. } => {
                write!(f, "RefusedDeposit({})", mailbox.id)
            }
            Purpose::Retrieval(device) => write!(f, "Retrieval({device})"),
            Purpose::RefusedRetrieval(refusal) => write!(f, "RefusedRetrieval({refusal:?})"),
        }
    }
}

/// What signalling tells a call. Its `Debug` hides SDP, which may carry keys (RFC 4568 §6.1).
#[derive(Clone, PartialEq, Eq)]
pub enum FromSignalling {
    /// The ACK came; `answer` is there where the 200 (of the call or of a re-INVITE) carried our offer.
    Acknowledged {
        /// The SDP answer.
        answer: Option<Bytes>,
    },
    /// The peer asks to change the session; one of [`ToSignalling`]'s `…Reinvite` answers.
    Reinvite {
        /// Which request.
        request: RequestId,
        /// The SDP offer; `None` wants ours.
        offer: Option<Bytes>,
    },
    /// The answer to a re-INVITE was sent: what it says holds from here on. Where the peer has taken the re-INVITE back
    /// before, this never comes.
    Changed {
        /// Which request.
        request: RequestId,
    },
    /// Signalling has refreshed the session with our last description, and this is the peer's answer.
    Refreshed {
        /// The SDP answer; `None` where it can't be read.
        answer: Option<Bytes>,
    },
    /// Why the caller ends it, as far as it says (RFC 3326); `Ended` follows.
    Cause(ReasonCause),
    /// The session is over: `CallerHungUp`, `Cancelled`, `NoAck` or `ConnectionLost`.
    Ended(EndReason),
}

impl fmt::Debug for FromSignalling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FromSignalling::Acknowledged { answer } => {
                write!(f, "Acknowledged(answer: {})", answer.is_some())
            }
            FromSignalling::Reinvite { request, offer } => {
                write!(f, "Reinvite({request:?}, offer: {})", offer.is_some())
            }
            FromSignalling::Changed { request } => write!(f, "Changed({request:?})"),
            FromSignalling::Refreshed { answer } => {
                write!(f, "Refreshed(answer: {})", answer.is_some())
            }
            FromSignalling::Cause(cause) => write!(f, "Cause({cause})"),
            FromSignalling::Ended(reason) => write!(f, "Ended({reason})"),
        }
    }
}

/// What a call tells signalling. Its `Debug` hides SDP, which may carry keys (RFC 4568 §6.1).
#[derive(Clone, PartialEq, Eq)]
pub enum ToSignalling {
    /// 200 with this SDP.
    Answer(Bytes),
    /// Refuse the call.
    Reject(Rejection),
    /// 200 to a re-INVITE.
    AnswerReinvite {
        /// Which.
        request: RequestId,
        /// Our SDP.
        sdp: Bytes,
    },
    /// Refuse a re-INVITE; the session stays as it was.
    RejectReinvite {
        /// Which.
        request: RequestId,
        /// How.
        rejection: Rejection,
    },
    /// BYE.
    HangUp(Reason),
    /// The call is over and wants nothing more: its place is free.
    Over,
}

impl fmt::Debug for ToSignalling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ToSignalling::Answer(_) => f.write_str("Answer(…)"),
            ToSignalling::Reject(rejection) => f.debug_tuple("Reject").field(rejection).finish(),
            ToSignalling::AnswerReinvite { request, sdp: _ } => {
                write!(f, "AnswerReinvite({request:?}, …)")
            }
            ToSignalling::RejectReinvite { request, rejection } => {
                write!(f, "RejectReinvite({request:?}, {rejection:?})")
            }
            ToSignalling::HangUp(reason) => f.debug_tuple("HangUp").field(reason).finish(),
            ToSignalling::Over => f.write_str("Over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sdp_is_never_printed() {
        let sdp = Bytes::from_static(b"a=crypto:1 AEAD_AES_256_GCM inline:SECRET");
        let printed = format!(
            "{:?} {:?} {:?}",
            FromSignalling::Acknowledged { answer: Some(sdp.clone()) },
            ToSignalling::Answer(sdp),
            FromSignalling::Ended(EndReason::CallerHungUp),
        );
        assert_eq!(printed, "Acknowledged(answer: true) Answer(…) Ended(caller-hung-up)");
    }
}
