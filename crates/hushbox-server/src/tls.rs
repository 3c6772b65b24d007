//! The TLS side of the server: its certificate, the versions it speaks, the client certificates it asks for.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use crate::client_certificates::{Candidate, ClientCertificates, Records};
use crate::config::Config;
use crate::identity::Identity;

/// Why TLS could not be set up. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, unreadable or not PEM.
    #[error("{file}: {source}")]
    File {
        /// The file.
        file: String,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// A file holds no certificate.
    #[error("{0}: no certificate in it")]
    Empty(String),
    /// Certificate and key do not go together, or are of a kind that cannot be used.
    #[error("tls.certificate and tls.key: {0}")]
    Pair(rustls::Error),
    /// An authority cannot be one.
    #[error(transparent)]
    Authority(#[from] crate::client_certificates::AuthorityError),
}

/// The cryptography of every TLS connection.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The certificates of a PEM file, in their order.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = path.display().to_string();
    let read = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>());
    match read {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::Empty(file)),
        Ok(certificates) => Ok(certificates),
        Err(source) => Err(TlsError::File { file, source }),
    }
}

/// The authorities of `tls.client_cas`.
pub fn authorities(config: &Config) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut all = Vec::new();
    for path in &config.client_cas {
        all.extend(certificates(path)?);
    }
    Ok(all)
}

/// What the TLS listener runs by.
pub fn server_config<P>(
    config: &Config,
    clients: Arc<ClientCertificates<P>>,
) -> Result<Arc<ServerConfig>, TlsError>
where
    P: Send + Sync + 'static,
{
    let chain = certificates(&config.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&config.key)
        .map_err(|source| TlsError::File { file: config.key.display().to_string(), source })?;
    let mut tls = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Pair)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(TlsError::Pair)?;
    // A resumed session would carry a certificate past its last day and past the removal of its record.
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    Ok(Arc::new(tls))
}

/// Reads every file that TLS needs, as starting would.
pub fn check(config: &Config) -> Result<(), TlsError> {
    if config.tls.is_none() {
        return Ok(());
    }
    let clients =
        ClientCertificates::<()>::new(&authorities(config)?, Arc::new(Nothing), provider())?;
    server_config(config, Arc::new(clients)).map(|_| ())
}

/// No records at all.
struct Nothing;

impl Records<()> for Nothing {
    fn candidates(&self, _: &Identity) -> Vec<Candidate<()>> {
        Vec::new()
    }
}
