//! The certificates of a running server: read again when their files change or SIGHUP comes, and watched for their end.
//!
//! New handshakes use what was read last; connections that are up go on, and so do their calls. Files that do not go
//! together are refused, and the old ones stay in use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use hushbox_audit::{Event, EventName, Outcome, Who};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

use crate::client_certificates::ClientCertificates;
use crate::config::Config;
use crate::services::Services;
use crate::tls::{self, TlsError};
use crate::{identity, limits, metrics};

/// What new handshakes are made by.
#[derive(Debug)]
pub struct CurrentTls(RwLock<Arc<ServerConfig>>);

impl CurrentTls {
    /// Begins with this.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(RwLock::new(config))
    }

    /// Makes handshakes by what was read last.
    pub fn acceptor(&self) -> TlsAcceptor {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    fn set(&self, config: Arc<ServerConfig>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// What a file looked like: length and time of its last change; nothing where it is gone.
type Stamp = Vec<Option<(u64, SystemTime)>>;

/// Reads the files again.
pub struct TlsFiles<P> {
    config: Config,
    clients: Arc<ClientCertificates<P>>,
    current: Arc<CurrentTls>,
    services: Arc<Services>,
    hang_up: Signal,
    /// What the files looked like when they were last read, and at the last look.
    read: Stamp,
    seen: Stamp,
    /// When each certificate in use ends, whatever its file holds by now.
    ends: Vec<End>,
    warned: BTreeMap<PathBuf, Nearness>,
}

/// The end of a file's certificates.
#[derive(Debug)]
struct End {
    usage: &'static str,
    file: PathBuf,
    unix_secs: i64,
}

impl<P: Send + Sync + 'static> TlsFiles<P> {
    /// Watches the files that `config` names, which have just been read.
    pub fn new(
        config: Config,
        clients: Arc<ClientCertificates<P>>,
        current: Arc<CurrentTls>,
        services: Arc<Services>,
    ) -> std::io::Result<Self> {
        let hang_up = signal(SignalKind::hangup())?;
        let read = stamp(&config);
        let (seen, ends, warned) = (read.clone(), ends(&config), BTreeMap::new());
        Ok(Self { config, clients, current, services, hang_up, read, seen, ends, warned })
    }

    /// Runs until the process ends.
    pub async fn run(mut self) {
        let mut tick = interval(limits::TLS_FILES_LOOKED_AT_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0_u32;
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    tokio::task::block_in_place(|| self.look());
                    if ticks.is_multiple_of(limits::CERTIFICATE_ENDS_LOOKED_AT_EVERY) {
                        tokio::task::block_in_place(|| self.watch_ends());
                    }
                    ticks = ticks.wrapping_add(1);
                }
                _ = self.hang_up.recv() => tokio::task::block_in_place(|| self.read_again()),
            }
        }
    }

    /// Reads the files if they have changed and have stood still since the last look: who writes a certificate and
    /// then its key is not met in between.
    fn look(&mut self) {
        let now = stamp(&self.config);
        let still = now == self.seen;
        self.seen = now;
        if still && self.seen != self.read {
            self.read_again();
        }
    }

    fn read_again(&mut self) {
        self.read = stamp(&self.config);
        self.seen = self.read.clone();
        let taken = self.take();
        metrics::tls_reloaded(taken.is_ok());
        let mut event = Event::new(EventName::ConfigLoad, Who::System);
        event.detail = event.detail.with("part", "tls");
        match taken {
            Ok(()) => {
                tracing::info!("new handshakes use the certificates as they are now");
                self.ends = ends(&self.config);
                self.warned.clear();
            }
            Err(error) => {
                event.outcome = Outcome::Failed;
                tracing::error!(%error, "the certificates cannot be used: those read before stay");
            }
        }
        self.services.audit.note(event);
        self.watch_ends();
    }

    /// All or nothing: every file is read before anything is replaced.
    fn take(&self) -> Result<(), TlsError> {
        let authorities = tls::authorities(&self.config)?;
        let revoked = tls::revocations(&self.config)?;
        let prepared = self.clients.prepare(&authorities, &revoked)?;
        let config = tls::server_config(&self.config, Arc::clone(&self.clients))?;
        self.clients.set_authorities(prepared);
        self.current.set(config);
        Ok(())
    }

    /// Says which certificates end soon, each time one comes nearer to its end.
    fn watch_ends(&mut self) {
        let now = self.services.clock.now().utc.as_second();
        for End { usage, file, unix_secs } in &self.ends {
            metrics::certificate_end(usage, &file.display().to_string(), *unix_secs);
            let secs_left = unix_secs.saturating_sub(now);
            let nearness = Nearness::of(secs_left);
            let before = self.warned.insert(file.clone(), nearness);
            if nearness > before.unwrap_or(Nearness::Far) {
                warn(file, nearness, secs_left);
            }
        }
    }
}

/// When the certificates end that the files hold now.
fn ends(config: &Config) -> Vec<End> {
    let used = std::iter::once(("server", &config.certificate));
    let used = used.chain(config.client_cas.iter().map(|file| ("client-ca", file)));
    let end = |(usage, file): (&'static str, &PathBuf)| {
        let unix_secs = first_end(&tls::certificates(file).ok()?)?;
        Some(End { usage, file: file.clone(), unix_secs })
    };
    used.filter_map(end).collect()
}

/// The last second of the certificate that ends first.
fn first_end(chain: &[CertificateDer<'_>]) -> Option<i64> {
    chain.iter().filter_map(|certificate| identity::last_second(certificate)).min()
}

fn warn(file: &Path, nearness: Nearness, secs_left: i64) {
    let file = file.display();
    if nearness == Nearness::Over {
        tracing::error!(%file, "a certificate has ended: renew it; new connections fail");
    } else {
        let days = secs_left / DAY;
        tracing::warn!(%file, days, "a certificate ends soon: renew it");
    }
}

const DAY: i64 = 86_400;

/// How near a certificate's end is: each is said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Far,
    Days30,
    Days7,
    Day1,
    Over,
}

impl Nearness {
    fn of(secs_left: i64) -> Self {
        match secs_left {
            ..0 => Self::Over,
            left if left < DAY => Self::Day1,
            left if left < 7 * DAY => Self::Days7,
            left if left < 30 * DAY => Self::Days30,
            _ => Self::Far,
        }
    }
}

fn stamp(config: &Config) -> Stamp {
    let look = |path: &PathBuf| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.len(), found.modified().ok()?))
    };
    let first = [&config.certificate, &config.key];
    first.into_iter().chain(&config.client_cas).chain(&config.crls).map(look).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_spoken_of_at_30_7_and_1_days_and_when_it_is_over() {
        let at = |days: i64| Nearness::of(days * DAY);
        assert_eq!(at(30), Nearness::Far);
        assert_eq!(Nearness::of(30 * DAY - 1), Nearness::Days30);
        assert_eq!(at(7), Nearness::Days30);
        assert_eq!(at(6), Nearness::Days7);
        assert_eq!(at(1), Nearness::Days7);
        assert_eq!(at(0), Nearness::Day1);
        assert_eq!(Nearness::of(-1), Nearness::Over);
        assert!(Nearness::Over > Nearness::Day1 && Nearness::Days30 > Nearness::Far);
    }
}
