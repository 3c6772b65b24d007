//! What was left aside, and why: in words for an operator, and without any number in them.

use std::fmt;

use hushbox_policy::AddressRule;

use super::{Cause, Loop, Outcome, Way};

/// Something in a request that did not name the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Where it stands.
    pub rule: AddressRule,
    /// Which of several: an index of History-Info, or a place in Diversion counted from 1.
    pub place: Option<String>,
    /// Why it did not.
    pub why: WhyIgnored,
}

/// Why something did not name the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WhyIgnored {
    /// This caller is not trusted with it.
    NotTrusted,
    /// It is not in this caller's order.
    NotInOrder,
    /// It breaks the grammar, or there are too many.
    Unreadable,
    /// Its user part is no mailbox, alias or number that a digit rule makes one of these.
    NamesNoMailbox,
    /// Its host name is not this trunk's.
    OtherPlace,
    /// Its domain is that of an account which this caller does not reach.
    OtherAccount,
    /// It is of a `hipaa` account, which does not exist on this listener.
    NotOnLab,
    /// The call passed through it on its way to the same person.
    NotDiverted,
    /// The call was diverted from there too, but another diversion counts.
    NotThisDiversion,
    /// It names the same mailbox.
    SaysTheSame,
    /// An earlier rule has decided otherwise.
    LaterRule,
}

impl WhyIgnored {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotTrusted => "not-trusted",
            Self::NotInOrder => "not-in-order",
            Self::Unreadable => "unreadable",
            Self::NamesNoMailbox => "names-no-mailbox",
            Self::OtherPlace => "other-place",
            Self::OtherAccount => "other-account",
            Self::NotOnLab => "not-on-lab",
            Self::NotDiverted => "not-diverted",
            Self::NotThisDiversion => "not-this-diversion",
            Self::SaysTheSame => "says-the-same",
            Self::LaterRule => "later-rule",
        }
    }

    /// The sentence.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotTrusted => "this caller is not trusted with it",
            Self::NotInOrder => "it is not in this caller's order",
            Self::Unreadable => "it can't be read, or there are too many",
            Self::NamesNoMailbox => "it is no mailbox, no alias, and no digit rule makes it one",
            Self::OtherPlace => {
                "its host name is neither an account's domain nor one of this trunk's hosts"
            }
            Self::OtherAccount => "its domain is of an account that this caller does not reach",
            Self::NotOnLab => "it is of a hipaa account, which does not exist on a lab listener",
            Self::NotDiverted => "the call was not diverted from there",
            Self::NotThisDiversion => "the call was diverted from there too: another one counts",
            Self::SaysTheSame => "it names the same mailbox",
            Self::LaterRule => "it says something else, but comes later in the order",
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule.as_str())?;
        if let Some(place) = &self.place {
            write!(f, " {place}")?;
        }
        write!(f, ": {}", self.why.text())
    }
}

impl Outcome<'_> {
    /// What becomes of the call, in the same words everywhere: `mailbox 1001 by diversion (number), greeting busy`.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Outcome::Retrieval => "*97: messages are opened here".to_owned(),
            Outcome::Nobody => "no mailbox: a trunk is answered 404, a device 403".to_owned(),
            Outcome::Loop(Loop::SameMailbox) => {
                "refused with 482: the call has been in this mailbox's voicemail before".to_owned()
            }
            Outcome::Loop(Loop::OtherServer) => {
                "refused with 480: another Hushbox calls".to_owned()
            }
            Outcome::Deposit(chosen) => {
                let rule = chosen.rule.map_or("catch-all", AddressRule::as_str);
                let way = match chosen.way {
                    Way::Number => "its number".to_owned(),
                    Way::Alias => "an alias".to_owned(),
                    Way::Digits(place) => format!("digit rule {place}"),
                    Way::CatchAll => "nothing else fits".to_owned(),
                };
                let greeting = chosen.cause.unwrap_or(Cause::Unavailable).as_str();
                format!("mailbox {} by {rule} ({way}), greeting {greeting}", chosen.mailbox.number)
            }
        }
    }
}
