//! What a trunk may say about whose mailbox a call is for: which words count, in which order, and how its numbers
//! become ours.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Error, MailboxId, limits};

/// Where in a request a mailbox can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressRule {
    /// `target` in the Request-URI (RFC 4458).
    Target,
    /// History-Info (RFC 7044, RFC 4244).
    HistoryInfo,
    /// Diversion (RFC 5806).
    Diversion,
    /// The Request-URI's user part.
    RequestUri,
}

impl AddressRule {
    /// Every rule, in the order that holds where none is set.
    pub const ALL: [Self; 4] = [Self::Target, Self::HistoryInfo, Self::Diversion, Self::RequestUri];

    /// The name, as commands and records have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::HistoryInfo => "history-info",
            Self::Diversion => "diversion",
            Self::RequestUri => "request-uri",
        }
    }
}

impl std::str::FromStr for AddressRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == text).ok_or(Error::Name)
    }
}

/// Of a call that was diverted several times, whose mailbox it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Diverted {
    /// Of whom the caller wanted to reach at first.
    #[default]
    Oldest,
    /// Of who diverted it last.
    Newest,
}

impl Diverted {
    /// The name, as commands and records have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oldest => "oldest",
            Self::Newest => "newest",
        }
    }
}

impl std::str::FromStr for Diverted {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Oldest, Self::Newest].into_iter().find(|d| d.as_str() == text).ok_or(Error::Name)
    }
}

/// How a trunk names mailboxes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addressing {
    /// What is looked at, in this order; what is not in it is not looked at.
    #[serde(default = "every_rule", skip_serializing_if = "is_every_rule")]
    pub order: Vec<AddressRule>,
    /// What is believed from this trunk besides the Request-URI, which always is.
    #[serde(default = "every_header", skip_serializing_if = "is_every_header")]
    pub trusted: BTreeSet<AddressRule>,
    /// Which of several diversions counts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub diverted: Diverted,
    /// Host names in its addresses that stand for itself; addresses at other names are of other places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// How its numbers become ours: the first one that names a mailbox holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digits: Vec<DigitRule>,
    /// The mailbox of calls that name none; without it they are answered 404.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_all: Option<MailboxId>,
}

fn every_rule() -> Vec<AddressRule> {
    AddressRule::ALL.to_vec()
}

fn is_every_rule(order: &[AddressRule]) -> bool {
    order == AddressRule::ALL
}

fn every_header() -> BTreeSet<AddressRule> {
    [AddressRule::Target, AddressRule::HistoryInfo, AddressRule::Diversion].into()
}

fn is_every_header(trusted: &BTreeSet<AddressRule>) -> bool {
    *trusted == every_header()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Addressing {
    fn default() -> Self {
        Self {
            order: every_rule(),
            trusted: every_header(),
            diverted: Diverted::default(),
            hosts: Vec::new(),
            digits: Vec::new(),
            catch_all: None,
        }
    }
}

impl Addressing {
    /// For who asserts nothing: the Request-URI alone.
    #[must_use]
    pub fn request_uri_only() -> Self {
        Self { order: vec![AddressRule::RequestUri], trusted: BTreeSet::new(), ..Self::default() }
    }

    /// Whether this is believed.
    #[must_use]
    pub fn trusts(&self, rule: AddressRule) -> bool {
        rule == AddressRule::RequestUri || self.trusted.contains(&rule)
    }

    /// What is wrong with it, if anything.
    #[must_use]
    pub fn mistake(&self) -> Option<&'static str> {
        let distinct: BTreeSet<_> = self.order.iter().collect();
        if self.order.is_empty() {
            Some("its addressing order is empty")
        } else if distinct.len() != self.order.len() {
            Some("its addressing order names a rule twice")
        } else if self.digits.len() > limits::DIGIT_RULES_MAX {
            Some("it has more than 64 digit rules")
        } else if self.hosts.len() > limits::TRUNK_HOSTS_MAX {
            Some("it has more than 16 hosts")
        } else {
            None
        }
    }
}

/// Turns a trunk's number into ours: `+15555551XXX` to `1XXX`. `X` is any digit; those on the right are the last ones
/// on the left.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "DigitRuleText", into = "DigitRuleText")]
pub struct DigitRule {
    from: String,
    to: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DigitRuleText {
    from: String,
    to: String,
}

impl DigitRule {
    /// A rule from one pattern to another.
    ///
    /// # Errors
    ///
    /// [`Error::DigitRule`] where one is empty or too long, has other characters than digits, `*`, `X` and a leading
    /// `+` (on the left alone), or the right one has more `X` than the left one.
    pub fn new(from: &str, to: &str) -> Result<Self, Error> {
        let fits = |text: &str| {
            (1..=limits::NUMBER_LENGTH_MAX).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'*' | b'X'))
        };
        let left = from.strip_prefix('+').unwrap_or(from);
        let any = |text: &str| text.bytes().filter(|b| *b == b'X').count();
        if fits(left) && fits(to) && any(to) <= any(from) {
            Ok(Self { from: from.to_owned(), to: to.to_owned() })
        } else {
            Err(Error::DigitRule)
        }
    }

    /// What it makes of this number; `None` where it is not for it.
    #[must_use]
    pub fn apply(&self, number: &str) -> Option<String> {
        if number.len() != self.from.len() {
            return None;
        }
        let mut taken = Vec::new();
        for (pattern, digit) in self.from.bytes().zip(number.bytes()) {
            match pattern {
                b'X' if digit.is_ascii_digit() => taken.push(char::from(digit)),
                _ if pattern == digit => {}
                _ => return None,
            }
        }
        let wanted = self.to.bytes().filter(|b| *b == b'X').count();
        let mut taken = taken.split_off(taken.len().saturating_sub(wanted)).into_iter();
        Some(
            self.to.chars().map(|c| if c == 'X' { taken.next().unwrap_or(c) } else { c }).collect(),
        )
    }
}

impl std::fmt::Display for DigitRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.from, self.to)
    }
}

impl std::str::FromStr for DigitRule {
    type Err = Error;

    /// `FROM=TO`, as commands have it.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (from, to) = text.split_once('=').ok_or(Error::DigitRule)?;
        Self::new(from, to)
    }
}

impl TryFrom<DigitRuleText> for DigitRule {
    type Error = Error;

    fn try_from(text: DigitRuleText) -> Result<Self, Error> {
        Self::new(&text.from, &text.to)
    }
}

impl From<DigitRule> for DigitRuleText {
    fn from(rule: DigitRule) -> Self {
        Self { from: rule.from, to: rule.to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn apply(rule: &str, number: &str) -> Option<String> {
        rule.parse::<DigitRule>().expect("a rule").apply(number)
    }

    #[test]
    fn a_digit_rule_makes_a_did_an_extension() {
        for (rule, number, expected) in [
            ("+15555551XXX=1XXX", "+15555551001", Some("1001")),
            ("+15555551XXX=1XXX", "+15555552001", None),
            ("+15555551XXX=1XXX", "15555551001", None),
            ("+15555551XXX=1XXX", "+155555510011", None),
            ("+1555555XXXX=XXXX", "+15555551002", Some("1002")),
            ("+1555XXXXXXX=XXXX", "+15555551002", Some("1002")),
            ("9XXXX=XXXX", "91001", Some("1001")),
            ("5550100=1001", "5550100", Some("1001")),
            ("*8XXXX=XXXX", "*81001", Some("1001")),
            ("XXX=1XXX", "0*1", None),
        ] {
            assert_eq!(apply(rule, number).as_deref(), expected, "{rule} {number}");
        }
    }

    #[test]
    fn a_digit_rule_that_can_not_work_is_refused() {
        for rule in ["", "=", "1=", "=1", "XX=XXX", "1.=1", "+=1", "1=+1", "1+=1", "a=1", "1XXX"] {
            assert!(rule.parse::<DigitRule>().is_err(), "{rule}");
        }
        assert!(serde_json::from_str::<DigitRule>(r#"{"from":"X","to":"XX"}"#).is_err());
    }

    #[test]
    fn what_is_as_usual_is_not_written() {
        assert_eq!(serde_json::to_string(&Addressing::default()).expect("JSON"), "{}");
        assert_eq!(serde_json::from_str::<Addressing>("{}").expect("JSON"), Addressing::default());
        let own = Addressing {
            order: vec![AddressRule::Diversion, AddressRule::RequestUri],
            trusted: [AddressRule::Diversion].into(),
            diverted: Diverted::Newest,
            hosts: vec!["pbx.example".to_owned()],
            digits: vec!["9XXXX=XXXX".parse().expect("a rule")],
            catch_all: Some(MailboxId::from_bytes([7; 16])),
        };
        let text = serde_json::to_string(&own).expect("JSON");
        assert_eq!(serde_json::from_str::<Addressing>(&text).expect("JSON"), own);
    }

    #[test]
    fn an_order_that_is_empty_or_says_a_thing_twice_is_a_mistake() {
        let order =
            |order: &[AddressRule]| Addressing { order: order.to_vec(), ..Addressing::default() };
        assert_eq!(Addressing::default().mistake(), None);
        assert_eq!(Addressing::request_uri_only().mistake(), None);
        assert!(order(&[]).mistake().is_some());
        assert!(order(&[AddressRule::Target, AddressRule::Target]).mistake().is_some());
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_digit_rule(from in "[+0-9*X]{0,22}", to in "[+0-9*X]{0,22}", number in "\\PC{0,22}") {
            if let Ok(rule) = DigitRule::new(&from, &to)
                && let Some(made) = rule.apply(&number)
            {
                prop_assert_eq!(made.len(), to.len());
                prop_assert!(!made.contains('X'));
            }
        }
    }
}
