//! The options of `trunk` that say how it names mailboxes.

use clap::Args;
use hushbox_policy::{AddressRule, DigitRule, Diverted};

use super::given;
use crate::control::directory::{AddressingFields, CatchAll};

/// How a trunk names mailboxes.
#[derive(Debug, Args)]
pub struct AddressingArgs {
    /// Where a mailbox is looked for, in this order [default: target,history-info,diversion,request-uri]
    #[arg(long, value_name = "RULE,...", value_delimiter = ',')]
    pub order: Vec<AddressRule>,
    /// Which of them are believed [default: target,history-info,diversion]; the Request-URI always is
    #[arg(long = "trust", value_name = "RULE,...", value_delimiter = ',')]
    pub trusted: Vec<AddressRule>,
    /// Believe nothing but the Request-URI
    #[arg(long, conflicts_with = "trusted")]
    pub no_trust: bool,
    /// Of several diversions the `oldest` (whom the caller wanted) counts, or the `newest` [default: oldest]
    #[arg(long, value_name = "WHICH")]
    pub diverted: Option<Diverted>,
    /// A host name in its addresses that stands for itself, several times if need be
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// It has no such host name
    #[arg(long, conflicts_with = "hosts")]
    pub no_host: bool,
    /// How its numbers become ours, several times if need be: +15555551XXX=1XXX; X is any digit
    #[arg(long, value_name = "FROM=TO")]
    pub digits: Vec<DigitRule>,
    /// Its numbers are ours as they are
    #[arg(long, conflicts_with = "digits")]
    pub no_digits: bool,
    /// The mailbox of calls that name none, which otherwise are answered 404
    #[arg(long, value_name = "ACCOUNT/NUMBER")]
    pub catch_all: Option<String>,
    /// Answer calls that name no mailbox 404
    #[arg(long, conflicts_with = "catch_all")]
    pub no_catch_all: bool,
}

impl From<AddressingArgs> for AddressingFields {
    fn from(args: AddressingArgs) -> Self {
        let catch_all = args.catch_all.map(CatchAll::Mailbox);
        Self {
            order: given(args.order),
            trusted: given(args.trusted)
                .map(|rules| rules.into_iter().collect())
                .or(args.no_trust.then(Default::default)),
            diverted: args.diverted,
            hosts: given(args.hosts).or(args.no_host.then(Vec::new)),
            digits: given(args.digits).or(args.no_digits.then(Vec::new)),
            catch_all: catch_all.or(args.no_catch_all.then_some(CatchAll::None)),
        }
    }
}
