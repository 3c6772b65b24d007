//! `hushbox trace`

use super::args::TraceArgs;
use super::{Failure, load, table};
use crate::control::{Request, client};

const CALLS: [&str; 7] = ["began", "call", "sip", "kind", "trunk", "messages", "end"];
const MESSAGES: [&str; 8] =
    ["seconds", "way", "message", "cseq", "transport", "body_bytes", "sdp", "headers"];

pub(super) fn trace(args: &TraceArgs) -> Result<(), Failure> {
    let rows = client::rows(&load(&args.at)?, &Request::Trace { call: args.call.clone() })?;
    let columns: &[&str] = if args.call.is_some() { &MESSAGES } else { &CALLS };
    table::print(&rows, columns, args.json);
    Ok(())
}
