//! `hushbox mailbox list`

use super::args::List;
use super::{Failure, load, table};
use crate::control::{Request, client};

const COLUMNS: [&str; 7] = ["account", "number", "time_zone", "new", "heard", "quiet", "deleted"];

pub(super) fn list(args: &List) -> Result<(), Failure> {
    let rows = client::rows(&load(&args.at)?, &Request::MailboxList)?;
    table::print(&rows, &COLUMNS, args.json);
    Ok(())
}
