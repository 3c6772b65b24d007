//! How a trunk names mailboxes: what commands change of it.

use hushbox_policy::Addressing;

use super::{Drafted, Drafter, host};
use crate::control::directory::{AddressingFields, CatchAll};

impl Drafter<'_> {
    pub(super) fn addressing(
        &self,
        fields: AddressingFields,
        addressing: &mut Addressing,
    ) -> Drafted<()> {
        if let Some(order) = fields.order {
            addressing.order = order;
        }
        if let Some(trusted) = fields.trusted {
            addressing.trusted = trusted;
        }
        if let Some(diverted) = fields.diverted {
            addressing.diverted = diverted;
        }
        if let Some(hosts) = fields.hosts {
            let hosts = hosts.iter().map(|name| host(name, "--host"));
            addressing.hosts = hosts.collect::<Drafted<_>>()?;
        }
        if let Some(digits) = fields.digits {
            addressing.digits = digits;
        }
        match fields.catch_all {
            Some(CatchAll::Mailbox(name)) => {
                addressing.catch_all = Some(self.mailbox_named(&name)?.id);
            }
            Some(CatchAll::None) => addressing.catch_all = None,
            None => {}
        }
        Ok(())
    }
}
