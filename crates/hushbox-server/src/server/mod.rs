//! The server as a whole: everything opened, everything started, `ready`, and the end.

pub(crate) mod data;
mod end;
mod index;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use hushbox_audit::{Event, EventName, Outcome, Who};
use hushbox_backend::{BackendError, FolderLock, SqliteIndex};
use hushbox_call::call::Recording;
use hushbox_call::signalling::{
    Admission, Config as SignallingConfig, Input, MwiConfig, Signalling,
};
use hushbox_sip::rate::Allowance;
use hushbox_sip::{HostPort, Limits, Listener, Transport};
use hushbox_store::CertificateOwner;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::audit_task::Audit;
use crate::client_certificates::{AuthorityError, ClientCertificates};
use crate::config::Config;
use crate::control;
use crate::delivery::{self, Deliveries};
use crate::directory_writer::DirectoryWriter;
use crate::fatal::Fatal;
use crate::listener::{Connections, Numbering, tcp, tls as tls_listener, udp};
use crate::media_shard::{self, Shard};
use crate::metrics::{self, RecorderError};
use crate::operator::{Operator, Status};
use crate::ops::health::{Health, Serving};
use crate::ops::sample::Sampled;
use crate::ops::{self, Ops};
use crate::outbound::registrations::{self, PasswordError};
use crate::outbound::{Connector, Finder, Secure};
use crate::prompts::{self, PromptError};
use crate::records::CertificateRecords;
use crate::rtp_ports::PortPairs;
use crate::services::Services;
use crate::signalling::{Load, SignallingTask};
use crate::sip_watch::SipWatch;
use crate::sockets::{self, MediaAddress, Sockets};
use crate::tls::{self, TlsError};
use crate::tls_files::{CurrentTls, TlsFiles};
use crate::trial::{Sip, Trial};
use crate::{exceptions, housekeeping, limits, mwi, random};
use data::Data;
pub(crate) use data::ROOT_KEY_ID;

/// Why a server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Files, keys, spool, log, index.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Authorities.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Counters.
    #[error(transparent)]
    Metrics(#[from] RecorderError),
    /// Prompts.
    #[error(transparent)]
    Prompts(#[from] PromptError),
    /// A password of a registration.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The index.
    #[error("{0}")]
    Index(#[from] hushbox_store::IndexError),
    /// A socket, a thread, a signal.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The directory is not as it was signed.
    #[error("the directory was changed outside of Hushbox; restore it from a backup:\n{0}")]
    Directory(String),
    /// A part without which nothing goes on has failed. A restart delivers what the spool holds.
    #[error("{0} failed; this is a mistake in Hushbox: restart it, nothing that was saved is lost")]
    Failed(&'static str),
    /// Something in the data folder is missing.
    #[error("{0}")]
    Incomplete(String),
}

fn doing(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> ServerError {
    move |source| ServerError::Io { what: what.into(), source }
}

/// Serves until it is asked to stop.
pub async fn run(config: Config, lock: FolderLock, sockets: Sockets) -> Result<(), ServerError> {
    let data = config.data.clone();
    let served = index::with_index(&data, async |index| serve(config, sockets, index).await).await;
    // Held to the very end: nobody else may open what is being closed.
    drop(lock);
    if served.is_ok() {
        tracing::info!("stopped");
    }
    served
}

async fn serve(config: Config, sockets: Sockets, index: SqliteIndex) -> Result<(), ServerError> {
    let mut ending = end::Signals::new().map_err(doing("signals"))?;
    let (addresses, ops_address) = (sockets.addresses(), sockets.ops_address());
    let health = Arc::new(Health::default());
    let sampled = Arc::new(OnceLock::new());
    if let Some((listener, _)) = sockets.ops {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(doing("ops"))?;
        let exposition = metrics::install()?;
        let (health, sampled) = (Arc::clone(&health), Arc::clone(&sampled));
        tokio::spawn(ops::serve(listener, Ops { health, exposition, sampled }));
    }
    let prompts = Arc::new(prompts::load(config.prompts.as_deref())?);
    let (fatal, mut failed) = Fatal::new();
    let data = Data::open(&config, &fatal, index).await?;
    let services = Arc::clone(&data.services);
    let record_only = services.opening.is_none();

    let (arrivals, arrived) = mpsc::channel(limits::ARRIVALS_QUEUE);
    let (says, said) = mpsc::unbounded_channel();
    let (deliveries, queue) = Deliveries::new();
    let delivering = deliveries.watch();
    let look =
        Sampled::new(&config, Arc::clone(&health), Arc::clone(&services), deliveries.watch());
    sampled.get_or_init(|| look);
    fatal.task("the delivery of messages", delivery::run(queue, Arc::clone(&services)));

    let shared = media_shard::Shared {
        services: Arc::clone(&services),
        prompts,
        ports: PortPairs::new(config.rtp_address, config.rtp_ports),
        media_address: MediaAddress::new(config.rtp_address, config.advertised_address),
        recording: Recording { max: config.recording_max, silence: config.recording_silence },
        signalling: says.clone(),
        deliveries,
        runtime: Handle::current(),
        live: Arc::new(AtomicUsize::new(0)),
        fatal: fatal.clone(),
        audited: data.audited,
    };
    let mut shards = Vec::new();
    let mut left = 0;
    for (number, (spool, recovered)) in data.spools {
        left += recovered.messages.len();
        let shard = Shard::start(number, spool, recovered, shared.clone())
            .map_err(doing("a media thread"))?;
        // A spool that was left by more shards than there are now is emptied, and takes no calls.
        if usize::from(number) < config.shards {
            shards.push(shard);
        }
    }

    delivery::recovered(left, delivering.clone()).await;

    let udp = match sockets.lab_udp {
        Some((socket, local)) => {
            let socket = tokio::net::UdpSocket::from_std(socket).map_err(doing("lab_udp"))?;
            let socket = Arc::new(socket);
            fatal.task("lab_udp", udp::serve(Arc::clone(&socket), local, arrivals.clone()));
            Some(socket)
        }
        None => None,
    };
    let mut signalling = Signalling::new(
        SignallingConfig {
            sip: hushbox_sip::Config {
                product: limits::PRODUCT.to_owned(),
                listeners: listeners(&config, &addresses),
                limits: Limits {
                    connections_max: config.connections_max,
                    // Beside the calls there are: those that end, and strangers who wait for their answer.
                    sessions_max: config
                        .calls_max
                        .saturating_mul(2)
                        .saturating_add(limits::SPARE_SESSIONS),
                    requests_per_source: per_second(config.requests_per_source_max),
                    ..Limits::default()
                },
            },
            realm: config.realm.clone(),
            service_key: data.service_key,
            admission: admission(&config),
            record_only,
            mwi: MwiConfig::default(),
        },
        services.directory(),
        random::bytes(),
    );
    let kept = mwi::subscriptions(&services).await;
    signalling.handle_input(services.clock.now(), Input::Restore(kept));
    fatal.task("lamps", mwi::tell_changes(data.changed, says.clone()));
    let numbering = Numbering::default();
    let tls_clients = match addresses.tls {
        Some(_) => Some(Arc::new(client_certificates(&config, &services)?)),
        None => None,
    };
    let secure = match &tls_clients {
        Some(known) => {
            // What cannot be used is said now, not by the first connection.
            tls::client_config(&config)?;
            Some(Secure { config: Arc::new(config.clone()), known: Arc::clone(known) })
        }
        None => None,
    };
    registrations::announce(&config);
    exceptions::announce(exceptions::of_config(&config));
    exceptions::announce(exceptions::of_directory(&services.directory()));
    let connector = Connector { secure, numbering: numbering.clone(), arrivals: arrivals.clone() };
    let (load, loaded) = watch::channel(Load::default());
    let task = SignallingTask {
        signalling,
        clock: Arc::clone(&services.clock),
        udp,
        connector,
        finder: Finder::new(transports(&addresses)),
        says: says.clone(),
        registrations: registrations::settings(&config, services.node)?,
        shards: shards.clone(),
        mwi: mwi::Mwi::start(Arc::clone(&services), says.clone(), &fatal),
        load,
        watch: SipWatch::new(Arc::clone(&services.trace), services.directory()),
    };
    fatal.task("signalling", task.run(arrived, said));

    let connections = Connections::new(config.connections_max, config.connections_per_source_max);
    if let Some((listener, local)) = sockets.lab_tcp {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(doing("lab_tcp"))?;
        let (connections, numbering, arrivals) =
            (connections.clone(), numbering.clone(), arrivals.clone());
        fatal.task("lab_tcp", tcp::serve(listener, local, connections, numbering, arrivals));
    }
    if let (Some((listener, local)), Some(clients)) = (sockets.tls, tls_clients.clone()) {
        let tls = tls::server_config(&config, Arc::clone(&clients))?;
        let tls = Arc::new(CurrentTls::new(tls));
        let files = TlsFiles::new(
            config.clone(),
            Arc::clone(&clients),
            Arc::clone(&tls),
            Arc::clone(&services),
        );
        fatal.task("the watch on certificates", files.map_err(doing("signals"))?.run());
        let listener = tokio::net::TcpListener::from_std(listener).map_err(doing("tls"))?;
        let rejected = note_rejected(services.audit.clone());
        let shared =
            tls_listener::Shared { tls, clients, connections, numbering, arrivals, rejected };
        fatal.task("tls", tls_listener::serve(listener, local, shared));
    }

    let socket = control::socket::bind(config.socket_folder(), Config::SOCKET)
        .map_err(doing("the control socket"))?;
    let writer = DirectoryWriter::new(data.keys, config.realm.clone(), tls_clients, says.clone());
    let status = Status { sip: addresses, record_only };
    let operator = Operator::new(Arc::clone(&services), Arc::new(writer), says.clone(), status);
    fatal.task("the control socket", control::server::serve(socket, operator));
    fatal.task("housekeeping", housekeeping::run(Arc::clone(&services)));

    if let Err(error) = remember(&config.trial_file(), addresses) {
        tracing::warn!(%error, "trial.json could not be brought up to date");
    }
    health.serving(Serving {
        loaded: loaded.clone(),
        says: says.clone(),
        shards: shards.clone(),
        record_only,
    });
    ready(&addresses, ops_address, record_only).map_err(doing("standard output"))?;
    tracing::info!(shards = shards.len(), calls_max = config.calls_max, record_only, "serving");
    let drain = config.drain;
    let end = end::Ending { health, says, shards, loaded, delivering, drain, services };
    tokio::select! {
        () = end.run(&mut ending) => Ok(()),
        Some(what) = failed.recv() => Err(ServerError::Failed(what)),
    }
}

/// How many calls are let in.
fn admission(config: &Config) -> Admission {
    let quota = u32::try_from(config.deposits_per_caller_max).unwrap_or(u32::MAX);
    Admission {
        calls_max: config.calls_max,
        retrieval_reserved_percent: u8::try_from(config.retrieval_reserved_percent).unwrap_or(100),
        deposits_per_caller: (quota > 0)
            .then(|| Allowance::new(quota, config.deposits_per_caller_window)),
    }
}

fn per_second(limit: usize) -> Option<u32> {
    u32::try_from(limit).ok().filter(|limit| *limit > 0)
}

/// Who the directory's certificates are.
fn client_certificates(
    config: &Config,
    services: &Services,
) -> Result<ClientCertificates<CertificateOwner>, ServerError> {
    let records = Arc::new(CertificateRecords(services.directory()));
    let (authorities, revoked) = (tls::authorities(config)?, tls::revocations(config)?);
    Ok(ClientCertificates::new(&authorities, &revoked, records, tls::provider())?)
}

/// What can be sent by, the best first.
fn transports(addresses: &Sip) -> Vec<Transport> {
    let bound = [
        (Transport::Tls, addresses.tls),
        (Transport::Tcp, addresses.lab_tcp),
        (Transport::Udp, addresses.lab_udp),
    ];
    bound.into_iter().filter(|(_, address)| address.is_some()).map(|(t, _)| t).collect()
}

/// Writes rejected certificates down, but not as fast as somebody can show them.
fn note_rejected(audit: Audit) -> tls_listener::Rejected {
    let last = Mutex::new(None::<Instant>);
    Arc::new(move || {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < limits::REJECTED_NOTED_EVERY) {
            return;
        }
        *last = Some(Instant::now());
        tracing::warn!(
            "a certificate that fits a record is outside of its dates, or was revoked: renew it"
        );
        let mut event = Event::new(EventName::TlsPeerReject, Who::Stranger);
        event.outcome = Outcome::Refused;
        audit.note(event);
    })
}

/// The trial.json of a trial gets the addresses that were bound.
fn remember(trial_file: &Path, sip: Sip) -> std::io::Result<()> {
    if !trial_file.exists() {
        return Ok(());
    }
    let mut trial = Trial::read(trial_file)?;
    if trial.sip != sip {
        trial.sip = sip;
        trial.write(trial_file)?;
    }
    Ok(())
}

/// The line that scripts wait for.
fn ready(addresses: &Sip, ops: Option<SocketAddr>, record_only: bool) -> std::io::Result<()> {
    use std::io::Write;
    let mut line = "ready".to_owned();
    let Sip { tls, lab_udp, lab_tcp } = *addresses;
    for (name, address) in [("tls", tls), ("lab_udp", lab_udp), ("lab_tcp", lab_tcp), ("ops", ops)]
    {
        if let Some(address) = address {
            line.push_str(&format!(" {name}={address}"));
        }
    }
    if record_only {
        line.push_str(" record-only");
    }
    line.push('\n');
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}

/// The listeners, as the endpoint names them in Via and Contact.
fn listeners(config: &Config, addresses: &Sip) -> Vec<Listener> {
    let bound = [
        (Transport::Tls, addresses.tls),
        (Transport::Udp, addresses.lab_udp),
        (Transport::Tcp, addresses.lab_tcp),
    ];
    bound
        .into_iter()
        .filter_map(|(transport, local)| {
            let local = local?;
            Some(Listener { transport, local, advertised: advertised(config, local) })
        })
        .collect()
}

fn advertised(config: &Config, local: SocketAddr) -> HostPort {
    let named =
        config.advertised_host.as_deref().and_then(|host| HostPort::new(host, Some(local.port())));
    named.unwrap_or_else(|| {
        let ip: IpAddr = match config.advertised_address {
            Some(address) if local.ip().is_unspecified() => address,
            _ => sockets::reachable(local.ip()),
        };
        SocketAddr::new(ip, local.port()).into()
    })
}
