//! `hushbox check-config`

use super::args::CheckConfig;
use super::{Failure, config_file};
use crate::outbound::registrations;
use crate::{config, exceptions};

pub(super) fn run(args: &CheckConfig) -> Result<(), Failure> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => config_file(&args.at)?,
    };
    let config = config::load(&file)?;
    // What a correct file names must be there, too.
    config.check_files()?;
    crate::tls::check(&config)?;
    registrations::check(&config)?;
    super::say(&format!("{}: ok\n", file.display()));
    for exception in exceptions::of_config(&config) {
        super::say(&format!("weaker than it should be: {exception}\n"));
    }
    Ok(())
}
