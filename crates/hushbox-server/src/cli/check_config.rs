//! `hushbox check-config`

use super::args::CheckConfig;
use super::{Failure, config_file};
use crate::config;

#[expect(clippy::print_stdout, reason = "this is what the command was asked for")]
pub(super) fn run(args: &CheckConfig) -> Result<(), Failure> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => config_file(&args.at)?,
    };
    let config = config::load(&file)?;
    // What a correct file names must be there, too.
    crate::tls::check(&config)?;
    println!("{}: ok", file.display());
    Ok(())
}
