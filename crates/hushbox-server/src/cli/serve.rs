//! `hushbox serve`

use hushbox_backend::FolderLock;

use super::Failure;
use super::args::Serve;
use crate::config::{self, Config};
use crate::server;
use crate::sockets::{Sockets, Wanted};
use crate::{logging, open_files, privacy};

pub(super) fn run(args: &Serve) -> Result<(), Failure> {
    let config = config::load(&super::config_file(&args.at)?)?;
    // Before any port: a second server on the same folder should hear of the folder.
    let lock = lock(&config)?;
    let sockets = Sockets::bind(&wanted(&config))?;
    with_sockets(config, lock, sockets)
}

/// The sockets that a configuration asks for.
pub(super) fn wanted(config: &Config) -> Wanted {
    let Config { tls, lab_udp, lab_tcp, ops, .. } = *config;
    Wanted { tls, lab_udp, lab_tcp, ops }
}

/// Takes the data folder for this process.
pub(super) fn lock(config: &Config) -> Result<FolderLock, Failure> {
    if !config.data.is_dir() {
        let data = config.data.display();
        return Err(format!(
            "{data} is not there: `hushbox quickstart` makes a trial installation"
        )
        .into());
    }
    Ok(FolderLock::take(&config.data)?)
}

/// Serves on sockets that are bound already.
pub(super) fn with_sockets(
    mut config: Config,
    lock: FolderLock,
    sockets: Sockets,
) -> Result<(), Failure> {
    logging::start(config.log_format, &config.log_level);
    privacy::keep_files_private();
    privacy::forbid_dumps();
    open_files::fit(&mut config);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(server::run(config, lock, sockets));
    // Nothing that still runs may hold up the end.
    runtime.shutdown_background();
    Ok(served?)
}
