//! The program `hushbox`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    hushbox_server::cli::run(hushbox_server::cli::args::Cli::parse())
}
