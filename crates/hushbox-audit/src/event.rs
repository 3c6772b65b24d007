//! What happened: a closed list of names, and who, what, where.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use hushbox_policy::{
    AccountId, Actor, CallId, DeviceId, Grounds, MailboxId, MessageId, PersonId, Reason, SessionId,
    SetBy, TrunkId,
};

use crate::Error;
use crate::detail::Detail;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// What can happen (hipaa-controls 1.6). The codes are part of the format and are not used again.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum EventName {
            $($(#[$doc])* $name,)*
        }

        impl EventName {
            /// Every event of this build.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name, as queries and exports have it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The code, as records have it.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The event of a code.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

events! {
    /// A call was accepted, or refused with a reason.
    CallIn = 1, "call.in";
    /// Recording began.
    RecordStart = 2, "record.start";
    /// A message was saved; the detail has the hash of its manifest.
    RecordFinish = 3, "record.finish";
    /// A recording ended without a message.
    RecordAbort = 4, "record.abort";
    /// The SIP messages of a call were shown, reduced; or the calls that can be.
    CallTrace = 5, "call.trace";
    /// A message is about to be heard.
    MsgPlayStart = 10, "msg.play.start";
    /// It was heard up to an offset.
    MsgPlayStop = 11, "msg.play.stop";
    /// A message's audio leaves custody.
    MsgDownload = 12, "msg.download";
    /// A message was marked as deleted.
    MsgDelete = 13, "msg.delete";
    /// That mark was taken away.
    MsgRestore = 14, "msg.restore";
    /// A message was destroyed.
    MsgPurge = 15, "msg.purge";
    /// A message was marked as heard.
    MsgFlag = 16, "msg.flag";
    /// A message's caller was shown.
    MsgReveal = 17, "msg.reveal";
    /// Messages were listed.
    MsgList = 18, "msg.list";
    /// A message was set aside, because it contradicts what the log knows of it.
    MsgQuarantine = 19, "msg.quarantine";
    /// A log-in was right.
    AuthOk = 30, "auth.ok";
    /// A log-in was wrong.
    AuthFail = 31, "auth.fail";
    /// Wrong log-ins locked something.
    AuthLock = 32, "auth.lock";
    /// A lock ended or was lifted.
    AuthUnlock = 33, "auth.unlock";
    /// Wrong digests, summed up.
    AuthDigestFail = 34, "auth.digest-fail";
    /// A mailbox was opened to somebody.
    SessionStart = 40, "session.start";
    /// They were logged off; the detail has the reason.
    SessionEnd = 41, "session.end";
    /// The directory was changed; the detail has its hash before and after.
    DirectoryChange = 50, "policy.change";
    /// A row of the directory does not fit its signature or the log, and is not used.
    DirectoryRefused = 51, "policy.refused";
    /// The configuration was read; the detail has its hash.
    ConfigLoad = 52, "config.load";
    /// Something asked for what a profile locks.
    FeatureRefused = 53, "feature.refused";
    /// Something asked for what nobody allowed.
    AccessRefused = 54, "access.refused";
    /// Records of the directory were listed; the detail has their kind.
    DirectoryList = 55, "policy.list";
    /// A key was made.
    KeyCreate = 60, "key.create";
    /// A key could not be unwrapped.
    KeyUnwrapDenied = 61, "key.unwrap-denied";
    /// A message or object does not fit its tag, manifest or hash.
    IntegrityFailure = 62, "integrity.failure";
    /// The server started.
    ServiceStart = 70, "service.start";
    /// The server stopped as it should.
    ServiceStop = 71, "service.stop";
    /// What a crash left was found; the detail counts it.
    ServiceRecovered = 72, "service.crash-recovered";
    /// The clock stepped against monotonic time.
    TimeStep = 73, "time.step";
    /// The log was checked.
    AuditVerify = 80, "audit.verify";
    /// The log lacks something: its end was cut after a crash (the detail has how many bytes), or events of strangers
    /// found no room on a full disk (how many events).
    AuditGap = 81, "audit.gap";
    /// TLS handshakes that failed, summed up.
    TlsPeerReject = 90, "tls.peer.reject";
    /// SRTP packets that failed authentication, summed up.
    SrtpAuthFail = 91, "srtp.auth-fail";
}

impl EventName {
    /// Whether only a permit leads to it: then the log writes it down itself, with the actor and object of the permit.
    #[must_use]
    pub const fn needs_permit(self) -> bool {
        match self {
            Self::SessionStart
            | Self::MsgPlayStart
            | Self::MsgDownload
            | Self::MsgDelete
            | Self::MsgRestore
            | Self::MsgPurge
            | Self::MsgFlag
            | Self::MsgReveal
            | Self::MsgList
            | Self::DirectoryList => true,
            Self::CallIn
            | Self::RecordStart
            | Self::RecordFinish
            | Self::RecordAbort
            | Self::CallTrace
            | Self::MsgPlayStop
            | Self::MsgQuarantine
            | Self::AuthOk
            | Self::AuthFail
            | Self::AuthLock
            | Self::AuthUnlock
            | Self::AuthDigestFail
            | Self::SessionEnd
            | Self::DirectoryChange
            | Self::DirectoryRefused
            | Self::ConfigLoad
            | Self::FeatureRefused
            | Self::AccessRefused
            | Self::KeyCreate
            | Self::KeyUnwrapDenied
            | Self::IntegrityFailure
            | Self::ServiceStart
            | Self::ServiceStop
            | Self::ServiceRecovered
            | Self::TimeStep
            | Self::AuditVerify
            | Self::AuditGap
            | Self::TlsPeerReject
            | Self::SrtpAuthFail => false,
        }
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.iter().copied().find(|name| name.as_str() == text).ok_or(Error::Name)
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// As asked.
    #[default]
    Done,
    /// Policy or a lock said no.
    Refused,
    /// It could not be done.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Failed];

    /// The name, as queries have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 1,
            Self::Refused => 2,
            Self::Failed => 3,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A person.
    Person(PersonId),
    /// A command without `--as`.
    Operator {
        /// The user who gave it.
        uid: u32,
    },
    /// A rule.
    Rule {
        /// Its id.
        id: Cow<'static, str>,
        /// Who switched it on; the build, if nobody did.
        set_by: Option<PersonId>,
    },
    /// The server itself.
    System,
    /// A caller, or somebody who could not prove to be a person. Such a one is given access to nothing.
    Stranger,
}

impl From<Actor> for Who {
    fn from(actor: Actor) -> Self {
        match actor {
            Actor::Person(person) => Self::Person(person),
            Actor::Operator { uid } => Self::Operator { uid },
            Actor::Rule { id, set_by } => Self::Rule {
                id: Cow::Borrowed(id),
                set_by: match set_by {
                    SetBy::Build => None,
                    SetBy::Person(person) => Some(person),
                },
            },
            Actor::System => Self::System,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(person) => write!(f, "person {person}"),
            Self::Operator { uid } => write!(f, "operator {uid}"),
            Self::Rule { id, .. } => write!(f, "rule {id}"),
            Self::System => f.write_str("system"),
            Self::Stranger => f.write_str("stranger"),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: EventName,
    /// Who did it.
    pub who: Who,
    /// How it ended.
    pub outcome: Outcome,
    /// The account it concerns.
    pub account: Option<AccountId>,
    /// The mailbox it concerns.
    pub mailbox: Option<MailboxId>,
    /// The message it concerns.
    pub message: Option<MessageId>,
    /// The device it came from.
    pub device: Option<DeviceId>,
    /// The trunk it came from.
    pub trunk: Option<TrunkId>,
    /// The log-in it belongs to.
    pub session: Option<SessionId>,
    /// The call it belongs to.
    pub call: Option<CallId>,
    /// The user at the other end of the control socket.
    pub uid: Option<u32>,
    /// The rule that decided it.
    pub rule: Option<Cow<'static, str>>,
    /// The reason that was given for it.
    pub reason: Option<Reason>,
    /// What else is to be said.
    pub detail: Detail,
}

impl Event {
    /// An event of which nothing more is known.
    #[must_use]
    pub fn new(name: EventName, who: impl Into<Who>) -> Self {
        Self {
            name,
            who: who.into(),
            outcome: Outcome::Done,
            account: None,
            mailbox: None,
            message: None,
            device: None,
            trunk: None,
            session: None,
            call: None,
            uid: None,
            rule: None,
            reason: None,
            detail: Detail::new(),
        }
    }

    pub(crate) fn permitted(name: EventName, grounds: &Grounds, extra: EventExtra) -> Self {
        Self {
            name,
            who: grounds.actor.into(),
            outcome: Outcome::Done,
            account: grounds.account,
            mailbox: grounds.mailbox,
            message: grounds.message,
            device: grounds.device,
            trunk: None,
            session: grounds.session,
            call: extra.call,
            uid: grounds.uid,
            rule: Some(Cow::Borrowed(grounds.rule)),
            reason: grounds.reason.clone(),
            detail: extra.detail,
        }
    }
}

/// What the log is told of an action besides its permit.
#[derive(Clone, Debug, Default)]
pub struct EventExtra {
    /// The call it belongs to.
    pub call: Option<CallId>,
    /// What else is to be said.
    pub detail: Detail,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_events_share_a_code_or_a_name() {
        let codes: BTreeSet<_> = EventName::ALL.iter().map(|name| name.code()).collect();
        let names: BTreeSet<_> = EventName::ALL.iter().map(|name| name.as_str()).collect();
        assert_eq!((codes.len(), names.len()), (EventName::ALL.len(), EventName::ALL.len()));
    }

    #[test]
    fn an_event_reads_back_from_its_code_and_its_name() {
        for name in EventName::ALL {
            assert_eq!(EventName::from_code(name.code()), Some(*name));
            assert_eq!(name.as_str().parse(), Ok(*name));
        }
    }
}
