//! Whose mailbox a call is for, and why (design.md "One deposit", "Who may call, and how").
//!
//! A trunk says what is looked at and in which order ([`Addressing`]): `target` of the Request-URI (RFC 4458),
//! History-Info (RFC 7044, RFC 4244), Diversion (RFC 5806), the Request-URI itself. The first that names a mailbox of
//! the trunk's accounts has it. What was left aside, and why, is part of the answer, so that an operator can read it
//! (`hushbox resolve`).
//!
//! Three rules keep a message out of a wrong mailbox: a `target` that names nobody is not made good by what stands in
//! other places; an address at a host name that is not the trunk's is of another place, whatever its user part; and
//! nothing counts that this trunk is not trusted with.

mod cause;
mod explain;
mod history;
mod loops;
mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use hushbox_policy::{AddressRule, Addressing};
use hushbox_sip::retargeting::{Diversion, HistoryEntry, Unreadable, VoicemailUri};
use hushbox_sip::{Invite, OwnedUri};
use hushbox_store::Directory;
use hushbox_store::model::{Device, Mailbox, Trunk};

pub use cause::Cause;
pub use explain::{Ignored, WhyIgnored};
pub use loops::Loop;
use names::{Named, Names};

/// The number that opens mailboxes.
pub const RETRIEVAL: &str = "*97";

/// Who asks, and where.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The directory of this moment.
    pub directory: &'a Directory,
    /// Whose call it is.
    pub asker: Asker<'a>,
    /// Whether it came over a `lab` listener: nothing of a `hipaa` account is there.
    pub lab: bool,
    /// Our own product, as it stands in User-Agent and Server.
    pub product: &'a str,
}

/// Whose call it is.
#[derive(Clone, Copy, Debug)]
pub enum Asker<'a> {
    /// A PBX's.
    Trunk(&'a Trunk),
    /// A telephone's: its Request-URI alone counts.
    Device(&'a Device),
}

/// Whose mailbox it is, and what was left aside.
#[derive(Debug)]
pub struct Resolution<'a> {
    /// Whose mailbox it is.
    pub outcome: Outcome<'a>,
    /// What was left aside, and why, as it stands in the request.
    pub ignored: Vec<Ignored>,
}

impl Resolution<'_> {
    /// The places that this caller is trusted with and that name somebody else.
    #[must_use]
    pub fn conflicts(&self) -> BTreeSet<AddressRule> {
        let conflicts = |ignored: &&Ignored| ignored.why == WhyIgnored::LaterRule;
        self.ignored.iter().filter(conflicts).map(|ignored| ignored.rule).collect()
    }
}

/// Where a call goes.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// Into a mailbox.
    Deposit(Chosen<'a>),
    /// `*97`.
    Retrieval,
    /// Nowhere: a voicemail server calls another.
    Loop(Loop),
    /// Nowhere: no mailbox here is meant.
    Nobody,
}

/// A mailbox, and why it.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// The mailbox.
    pub mailbox: &'a Mailbox,
    /// What named it; none for the catch-all mailbox.
    pub rule: Option<AddressRule>,
    /// How the name was understood.
    pub way: Way,
    /// Why the person did not take the call, where that is known.
    pub cause: Option<Cause>,
}

/// How a name was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is a mailbox's number.
    Number,
    /// It is an alias.
    Alias,
    /// The trunk's digit rule of this place, counted from 1, made it one of these.
    Digits(usize),
    /// It is nobody's: the trunk's catch-all mailbox.
    CatchAll,
}

/// What one rule says.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    rule: AddressRule,
    what: What<'a>,
    cause: Option<Cause>,
}

#[derive(Clone, Copy, Debug)]
enum What<'a> {
    Mailbox(&'a Mailbox, Way),
    Retrieval,
    /// Nobody, and no other rule is asked; `false`: not even the catch-all mailbox.
    Nobody {
        catch_all: bool,
    },
}

/// Finds the mailbox that a call is for.
#[must_use]
pub fn resolve<'a>(question: &Question<'a>, invite: &Invite) -> Resolution<'a> {
    let own;
    let addressing = match question.asker {
        Asker::Trunk(trunk) => &trunk.addressing,
        Asker::Device(_) => {
            own = Addressing::request_uri_only();
            &own
        }
    };
    let names = Names::new(question, addressing, invite);
    Resolving { addressing, invite, names, ignored: Vec::new() }.run(question)
}

/// The mailbox whose state a SUBSCRIBE asks for: the Request-URI's, as of a call; where that is `*97` or has no user
/// part, To's. Never the catch-all mailbox: its messages are of many.
#[must_use]
pub fn watched<'a>(
    question: &Question<'a>,
    addressing: &Addressing,
    subscribe: &Invite,
    to_uri: &OwnedUri,
) -> Option<&'a Mailbox> {
    let names = Names::new(question, addressing, subscribe);
    let user = subscribe.request_uri.user().filter(|user| !user.is_empty() && *user != RETRIEVAL);
    let named = match user {
        Some(user) => names.of_request_uri(user),
        None => names.of(to_uri.user().unwrap_or_default(), to_uri.host()),
    };
    match named {
        Named::Mailbox(mailbox, _) => Some(mailbox),
        Named::Nobody(_) => None,
    }
}

struct Resolving<'q, 'a> {
    addressing: &'q Addressing,
    invite: &'q Invite,
    names: Names<'q, 'a>,
    ignored: Vec<Ignored>,
}

impl<'a> Resolving<'_, 'a> {
    fn run(mut self, question: &Question<'a>) -> Resolution<'a> {
        let outcome = self.outcome(question);
        // As the rules are read about, and each as it stands in the request.
        self.ignored.sort_by_key(|ignored| ignored.rule);
        Resolution { outcome, ignored: self.ignored }
    }

    fn outcome(&mut self, question: &Question<'a>) -> Outcome<'a> {
        // The account is the Request-URI's, so one that is known and not served ends it; not so at `*97`, where the
        // person's number decides.
        if let Some(why) = self.names.request_uri_is_elsewhere() {
            if self.invite.request_uri.user() == Some(RETRIEVAL) {
                return Outcome::Retrieval;
            }
            self.ignore(AddressRule::RequestUri, None, why);
            return Outcome::Nobody;
        }
        for rule in AddressRule::ALL {
            let unused = if self.addressing.order.contains(&rule) {
                (!self.addressing.trusts(rule)).then_some(WhyIgnored::NotTrusted)
            } else {
                Some(WhyIgnored::NotInOrder)
            };
            if let Some(why) = unused
                && self.is_there(rule)
            {
                self.ignore(rule, None, why);
            }
        }
        let mut found: Vec<Found<'a>> = Vec::new();
        for rule in self.addressing.order.clone() {
            if self.addressing.trusts(rule) {
                found.extend(self.ask(rule));
            }
        }
        let Some(first) = found.first().copied() else { return self.nobody(question, true) };
        self.left_aside(first, found.get(1..).unwrap_or_default());
        match first.what {
            What::Retrieval => Outcome::Retrieval,
            What::Nobody { catch_all } => self.nobody(question, catch_all),
            What::Mailbox(mailbox, way) => {
                let same =
                    |f: &&Found<'_>| matches!(f.what, What::Mailbox(m, _) if m.id == mailbox.id);
                let cause = found.iter().filter(same).find_map(|f| f.cause);
                let cause = cause.or_else(|| self.uri_cause());
                self.deposit(question, Chosen { mailbox, rule: Some(first.rule), way, cause })
            }
        }
    }

    fn deposit(&self, question: &Question<'a>, chosen: Chosen<'a>) -> Outcome<'a> {
        match loops::find(question, &self.names, self.invite, chosen.mailbox) {
            Some(found) => Outcome::Loop(found),
            None => Outcome::Deposit(chosen),
        }
    }

    fn nobody(&self, question: &Question<'a>, catch_all: bool) -> Outcome<'a> {
        // What is hidden on this listener has no catch-all either (design.md "Who may call").
        let catch_all = catch_all && !self.names.met_hidden();
        let mailbox = self.addressing.catch_all.filter(|_| catch_all);
        let mailbox = mailbox.and_then(|id| question.directory.mailbox(id));
        match mailbox.filter(|mailbox| self.names.serves(mailbox.account)) {
            Some(mailbox) => self.deposit(
                question,
                Chosen { mailbox, rule: None, way: Way::CatchAll, cause: self.uri_cause() },
            ),
            None => Outcome::Nobody,
        }
    }

    /// Whether a request has it at all.
    fn is_there(&self, rule: AddressRule) -> bool {
        match rule {
            AddressRule::Target => VoicemailUri::of(&self.invite.request_uri).target.is_some(),
            AddressRule::HistoryInfo => self.invite.headers.first("History-Info").is_some(),
            AddressRule::Diversion => self.invite.headers.first("Diversion").is_some(),
            AddressRule::RequestUri => self.invite.request_uri.user().is_some(),
        }
    }

    fn ask(&mut self, rule: AddressRule) -> Option<Found<'a>> {
        match rule {
            AddressRule::Target => self.target(),
            AddressRule::HistoryInfo => self.history_info(),
            AddressRule::Diversion => self.diversion(),
            AddressRule::RequestUri => self.request_uri(),
        }
    }

    /// RFC 4458 §2.1. It names a mailbox outright, so it is the answer, also where that is "nobody".
    fn target(&mut self) -> Option<Found<'a>> {
        let said = VoicemailUri::of(&self.invite.request_uri);
        let rule = AddressRule::Target;
        let named = match said.target? {
            Ok(target) => self.names.of(target.user(), target.host()),
            Err(Unreadable) => {
                self.ignore(rule, None, WhyIgnored::Unreadable);
                return None;
            }
        };
        let what = match named {
            Named::Mailbox(mailbox, way) => What::Mailbox(mailbox, way),
            Named::Nobody(why) => {
                self.ignore(rule, None, why);
                What::Nobody { catch_all: why == WhyIgnored::NamesNoMailbox }
            }
        };
        Some(Found { rule, what, cause: said.cause.and_then(Cause::of_status) })
    }

    fn history_info(&mut self) -> Option<Found<'a>> {
        let rule = AddressRule::HistoryInfo;
        let mut entries = Vec::new();
        for entry in HistoryEntry::all(&self.invite.headers) {
            match entry {
                Ok(entry) => entries.push(entry),
                Err(Unreadable) => self.ignore(rule, None, WhyIgnored::Unreadable),
            }
        }
        let history = history::History::new(&entries, &self.invite.request_uri);
        let mut found: Option<Found<'a>> = None;
        for at in history.in_turn(self.addressing.diverted) {
            let entry = &entries[at];
            let place = Some(entry.index.to_string());
            if !history.was_diverted(at) {
                self.ignore(rule, place, WhyIgnored::NotDiverted);
                continue;
            }
            match self.names.of(entry.uri.user().unwrap_or_default(), entry.uri.host()) {
                Named::Nobody(why) => self.ignore(rule, place, why),
                Named::Mailbox(mailbox, way) => {
                    let cause = history.cause(at);
                    match &mut found {
                        None => {
                            found = Some(Found { rule, what: What::Mailbox(mailbox, way), cause })
                        }
                        Some(Found { what: What::Mailbox(first, _), cause: known, .. })
                            if first.id == mailbox.id =>
                        {
                            // One call of the same person, by way of an address and a contact.
                            *known = known.or(cause);
                        }
                        Some(_) => self.ignore(rule, place, WhyIgnored::NotThisDiversion),
                    }
                }
            }
        }
        found
    }

    fn diversion(&mut self) -> Option<Found<'a>> {
        let rule = AddressRule::Diversion;
        let mut diversions: Vec<_> =
            Diversion::all(&self.invite.headers).into_iter().enumerate().collect();
        // RFC 5806: the latest stands first.
        if self.addressing.diverted == hushbox_policy::Diverted::Oldest {
            diversions.reverse();
        }
        let mut found: Option<Found<'a>> = None;
        for (at, diversion) in diversions {
            let place = Some((at + 1).to_string());
            let Ok(diversion) = diversion else {
                self.ignore(rule, place, WhyIgnored::Unreadable);
                continue;
            };
            match self.names.of(diversion.uri.user().unwrap_or_default(), diversion.uri.host()) {
                Named::Nobody(why) => self.ignore(rule, place, why),
                Named::Mailbox(mailbox, way) => {
                    if found.is_some() {
                        self.ignore(rule, place, WhyIgnored::NotThisDiversion);
                    } else {
                        let cause = Cause::of_diversion(diversion.reason);
                        found = Some(Found { rule, what: What::Mailbox(mailbox, way), cause });
                    }
                }
            }
        }
        found
    }

    fn request_uri(&mut self) -> Option<Found<'a>> {
        let rule = AddressRule::RequestUri;
        let user = self.invite.request_uri.user().unwrap_or_default();
        // Escapes are resolved already: `%2A97` is the same number.
        if user == RETRIEVAL {
            return Some(Found { rule, what: What::Retrieval, cause: None });
        }
        match self.names.of_request_uri(user) {
            Named::Mailbox(mailbox, way) => {
                Some(Found { rule, what: What::Mailbox(mailbox, way), cause: self.uri_cause() })
            }
            Named::Nobody(why) => {
                self.ignore(rule, None, why);
                None
            }
        }
    }

    /// `cause` in the Request-URI, from who is believed what stands there.
    fn uri_cause(&self) -> Option<Cause> {
        let cause = VoicemailUri::of(&self.invite.request_uri).cause?;
        if self.addressing.trusts(AddressRule::Target) { Cause::of_status(cause) } else { None }
    }

    /// The rules that were not needed: what they name may be what the operator looks for.
    fn left_aside(&mut self, first: Found<'_>, others: &[Found<'_>]) {
        for other in others {
            let why = match (first.what, other.what) {
                // It has said so already.
                (_, What::Nobody { .. }) => continue,
                (What::Mailbox(one, _), What::Mailbox(another, _)) if one.id == another.id => {
                    WhyIgnored::SaysTheSame
                }
                (What::Retrieval, What::Retrieval) => WhyIgnored::SaysTheSame,
                _ => WhyIgnored::LaterRule,
            };
            self.ignore(other.rule, None, why);
        }
    }

    fn ignore(&mut self, rule: AddressRule, place: Option<String>, why: WhyIgnored) {
        self.ignored.push(Ignored { rule, place, why });
    }
}
