//! The command `hushbox-load`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    hushbox_load::cli::main().await
}
