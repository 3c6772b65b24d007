//! Which mailbox a user part and a host name.

use std::cell::Cell;
use std::net::IpAddr;

use hushbox_policy::{AccountId, Addressing, Number, Profile};
use hushbox_sip::Invite;
use hushbox_store::Directory;
use hushbox_store::model::Mailbox;

use super::{Asker, Question, Way, WhyIgnored};

/// What an address names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'a> {
    Mailbox(&'a Mailbox, Way),
    Nobody(WhyIgnored),
}

/// The names that one caller can use.
pub(super) struct Names<'q, 'a> {
    directory: &'a Directory,
    addressing: &'q Addressing,
    /// The accounts that exist for this caller, and here.
    served: Vec<AccountId>,
    /// Those of its accounts that do not exist here.
    hidden: Vec<AccountId>,
    /// Whose numbers count where an address names no account's domain.
    usual: Result<Vec<AccountId>, WhyIgnored>,
    request_host: String,
    certificate_host: Option<&'a str>,
    met_hidden: Cell<bool>,
}

impl<'q, 'a> Names<'q, 'a> {
    pub(super) fn new(
        question: &Question<'a>,
        addressing: &'q Addressing,
        invite: &Invite,
    ) -> Self {
        let accounts = match question.asker {
            Asker::Trunk(trunk) => trunk.accounts.clone(),
            Asker::Device(device) => vec![device.account],
        };
        let is_served = |id: &AccountId| {
            let account = question.directory.account(*id);
            account.is_some_and(|a| !question.lab || a.profile == Profile::Standard)
        };
        let (served, hidden) = accounts.into_iter().partition(is_served);
        let mut names = Names {
            directory: question.directory,
            addressing,
            served,
            hidden,
            usual: Ok(Vec::new()),
            request_host: invite.request_uri.host().to_owned(),
            certificate_host: question.asker.certificate_host(),
            met_hidden: Cell::new(false),
        };
        // The account is that of the Request-URI's domain, else whichever has the number (design.md "Who may call").
        names.usual = match names.of_domain(&names.request_host) {
            Some(known) => known.map(|account| vec![account]),
            None => Ok(names.served.clone()),
        };
        names
    }

    /// Whether the Request-URI's domain is that of an account which this caller does not reach.
    pub(super) fn request_uri_is_elsewhere(&self) -> Option<WhyIgnored> {
        self.usual.as_ref().err().copied()
    }

    pub(super) fn serves(&self, account: AccountId) -> bool {
        self.served.contains(&account)
    }

    /// Whether anything named an account that is hidden here.
    pub(super) fn met_hidden(&self) -> bool {
        self.met_hidden.get()
    }

    pub(super) fn of_request_uri(&self, user: &str) -> Named<'a> {
        match &self.usual {
            Ok(among) => self.of_user(user, among),
            Err(why) => Named::Nobody(*why),
        }
    }

    /// What an address in a header field or a `target` names. Short numbers mean somebody else at another place, so
    /// its host must be known here: an account's domain, an IP address, none (`tel:`), the Request-URI's, the trunk's.
    pub(super) fn of(&self, user: &str, host: &str) -> Named<'a> {
        match self.of_domain(host) {
            Some(Ok(account)) => self.of_user(user, &[account]),
            Some(Err(why)) => Named::Nobody(why),
            None if self.is_own(host) => self.of_request_uri(user),
            None => Named::Nobody(WhyIgnored::OtherPlace),
        }
    }

    fn is_own(&self, host: &str) -> bool {
        host.is_empty()
            || host.parse::<IpAddr>().is_ok()
            || host == self.request_host
            || self.certificate_host.is_some_and(|own| own.eq_ignore_ascii_case(host))
            || self.addressing.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }

    fn of_domain(&self, host: &str) -> Option<Result<AccountId, WhyIgnored>> {
        let account = self.directory.account_by_domain(host)?.id;
        Some(if self.served.contains(&account) {
            Ok(account)
        } else if self.hidden.contains(&account) {
            self.met_hidden.set(true);
            Err(WhyIgnored::NotOnLab)
        } else {
            Err(WhyIgnored::OtherAccount)
        })
    }

    fn of_user(&self, user: &str, among: &[AccountId]) -> Named<'a> {
        if let Some((mailbox, way)) = self.look_up(user, among) {
            return Named::Mailbox(mailbox, way);
        }
        if self.look_up(user, &self.hidden).is_some() {
            self.met_hidden.set(true);
            return Named::Nobody(WhyIgnored::NotOnLab);
        }
        Named::Nobody(WhyIgnored::NamesNoMailbox)
    }

    /// By number, by alias, then by the trunk's digit rules in their order.
    fn look_up(&self, user: &str, among: &[AccountId]) -> Option<(&'a Mailbox, Way)> {
        let plain = dialled(user);
        let known = self.known(user, among).or_else(|| self.known(&plain, among));
        known.or_else(|| {
            self.addressing.digits.iter().enumerate().find_map(|(at, rule)| {
                let (mailbox, _) = self.known(&rule.apply(&plain)?, among)?;
                Some((mailbox, Way::Digits(at + 1)))
            })
        })
    }

    fn known(&self, user: &str, among: &[AccountId]) -> Option<(&'a Mailbox, Way)> {
        let number = Number::new(user).ok();
        let numbered = number.and_then(|n| self.directory.mailbox_by_number(&n, among));
        numbered.map(|mailbox| (mailbox, Way::Number)).or_else(|| {
            let mailbox = self.directory.mailbox_by_alias(user, among)?;
            Some((mailbox, Way::Alias))
        })
    }
}

/// The user part without parameters of its own (`1001;phone-context=...`), a number without visual separators
/// (RFC 3966 §5.1.1).
fn dialled(user: &str) -> String {
    let user = user.split(';').next().unwrap_or_default();
    let separator = |c: char| matches!(c, '-' | '.' | '(' | ')');
    let is_number =
        user.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '*') || separator(c));
    if is_number { user.chars().filter(|c| !separator(*c)).collect() } else { user.to_owned() }
}

impl<'a> Asker<'a> {
    /// The host of the trunk's certificate: its own name.
    fn certificate_host(&self) -> Option<&'a str> {
        use hushbox_store::model::CertificateBinding::{AuthorityAndName, KeyHash};
        let Asker::Trunk(trunk) = self else { return None };
        match trunk.certificate.as_ref()? {
            AuthorityAndName { name, .. } => {
                let host = name.strip_prefix("sip:").or_else(|| name.strip_prefix("dns:"));
                Some(host.unwrap_or(name))
            }
            KeyHash(_) => None,
        }
    }
}
