//! `hushbox serve`

use super::Failure;
use super::args::Serve;
use crate::config::{self, Config};
use crate::server::{self, Announce};
use crate::sockets::{Sockets, Wanted};
use crate::{logging, open_files};

pub(super) fn run(args: &Serve) -> Result<(), Failure> {
    let config = config::load(&super::config_file(&args.at)?)?;
    let wanted = Wanted { tls: config.tls, lab_udp: config.lab_udp, lab_tcp: config.lab_tcp };
    let sockets = Sockets::bind(&wanted)?;
    with_sockets(config, sockets, None)
}

/// Serves on sockets that are bound already.
pub(super) fn with_sockets(
    mut config: Config,
    sockets: Sockets,
    announce: Option<Announce>,
) -> Result<(), Failure> {
    logging::start(config.log_format, &config.log_level);
    open_files::forbid_core_dumps();
    open_files::fit(&mut config);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(server::run(config, sockets, announce))?;
    // Nothing that still runs may hold up the end.
    runtime.shutdown_background();
    Ok(())
}
