//! The TLS side of the server: its certificate, the versions it speaks, the client certificates it asks for.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::client_certificates::{Candidate, ClientCertificates, Records};
use crate::config::Config;
use crate::identity::Identity;
use crate::outbound::server_certificates::ServerCertificates;

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
    /// A file holds no list of revoked certificates.
    #[error("{0}: no list of revoked certificates in it")]
    NoList(String),
    /// Certificate and key do not go together, or are of a kind that cannot be used.
    #[error("tls.certificate and tls.key: {0}")]
    Pair(rustls::Error),
    /// An authority of `tls.server_cas` cannot be one.
    #[error("tls.server_cas: {0}")]
    Root(rustls::Error),
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

/// The lists of `tls.crls`.
pub fn revocations(
    config: &Config,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let mut all = Vec::new();
    for path in &config.crls {
        let file = path.display().to_string();
        let read = CertificateRevocationListDer::pem_file_iter(path)
            .and_then(|lists| lists.collect::<Result<Vec<_>, _>>());
        match read {
            Ok(lists) if lists.is_empty() => return Err(TlsError::NoList(file)),
            Ok(lists) => all.extend(lists),
            Err(source) => return Err(TlsError::File { file, source }),
        }
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
    let (chain, key) = own(config)?;
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

/// What connections of ours run by: the server is checked, and shown our own certificate where it asks for one.
pub fn client_config(config: &Config) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for path in &config.server_cas {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(TlsError::Root)?;
        }
    }
    let checked = ServerCertificates::new(roots, provider());
    let (chain, key) = own(config)?;
    let tls = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Pair)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(checked))
        .with_client_auth_cert(chain, key)
        .map_err(TlsError::Pair)?;
    Ok(Arc::new(tls))
}

/// Our own certificate and its key.
fn own(
    config: &Config,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates(&config.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&config.key)
        .map_err(|source| TlsError::File { file: config.key.display().to_string(), source })?;
    Ok((chain, key))
}

/// Reads every file that TLS needs, as starting would.
pub fn check(config: &Config) -> Result<(), TlsError> {
    if config.tls.is_none() {
        return Ok(());
    }
    let clients = ClientCertificates::<()>::new(
        &authorities(config)?,
        &revocations(config)?,
        Arc::new(Nothing),
        provider(),
    )?;
    client_config(config)?;
    server_config(config, Arc::new(clients)).map(|_| ())
}

/// No records at all.
struct Nothing;

impl Records<()> for Nothing {
    fn candidates(&self, _: &Identity) -> Vec<Candidate<()>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{ServerName, UnixTime};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::certificates::{Authority, Pair};
    use crate::client_certificates::{Binding, Match, sha256};
    use crate::config;

    const PBX: &str = "sip:pbx.clinic.example";

    /// One record: the PBX of this authority.
    struct OnePbx([u8; 32]);

    impl Records<()> for OnePbx {
        fn candidates(&self, identity: &Identity) -> Vec<Candidate<()>> {
            let named = identity.names.iter().any(|name| name == PBX);
            let binding =
                Binding::AuthorityAndName { authority: Some(self.0), name: PBX.to_owned() };
            named.then_some(Candidate { peer: (), binding }).into_iter().collect()
        }
    }

    struct Server {
        _folder: tempfile::TempDir,
        authority: Authority,
        clients: Arc<ClientCertificates<()>>,
        acceptor: TlsAcceptor,
    }

    fn server() -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new(jiff::Timestamp::now()).expect("an authority");
        let own = authority.server(&[]).expect("a certificate");
        std::fs::create_dir(folder.path().join("tls")).expect("made");
        let files = [
            ("ca.crt", &authority.pair().certificate),
            ("server.crt", &own.certificate),
            ("server.key", &own.key),
        ];
        for (name, text) in files {
            std::fs::write(folder.path().join("tls").join(name), text).expect("written");
        }
        let text = "[listen]\ntls = \"127.0.0.1:5061\"\n";
        let config = config::parse(text, &folder.path().join("hushbox.toml")).expect("valid");
        check(&config).expect("usable");
        let records = Arc::new(OnePbx(sha256(&authority.pair().der)));
        let known = authorities(&config).expect("one");
        let clients = ClientCertificates::new(&known, &[], records, provider());
        let clients = Arc::new(clients.expect("usable"));
        let acceptor =
            TlsAcceptor::from(server_config(&config, Arc::clone(&clients)).expect("usable"));
        Server { _folder: folder, authority, clients, acceptor }
    }

    /// A handshake over a pipe, and whose certificate the server saw; `None` when it failed.
    async fn handshake(server: &Server, shown: Option<&Pair>) -> Option<Match<()>> {
        let mut roots = RootCertStore::empty();
        roots.add(server.authority.pair().der.clone().into()).expect("a root");
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match shown {
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
                config.with_client_auth_cert(vec![pair.der.clone().into()], key).expect("a pair")
            }
            None => config.with_no_client_auth(),
        };
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = TlsConnector::from(Arc::new(config));
        let (accepted, _) =
            tokio::join!(server.acceptor.accept(ours), connector.connect(name, theirs));
        let stream = accepted.ok()?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        server.clients.look_up(chain, UnixTime::now()).ok()
    }

    #[tokio::test]
    async fn a_handshake_tells_whose_certificate_it_was_and_strangers_are_let_in_as_nobody() {
        let server = server();
        let pbx = server.authority.client(PBX, &[]).expect("a certificate");
        assert_eq!(handshake(&server, Some(&pbx)).await, Some(Match::One(())));
        assert_eq!(handshake(&server, None).await, Some(Match::Nobody));
        let other = server.authority.client("sip:other.example", &[]).expect("a certificate");
        assert_eq!(handshake(&server, Some(&other)).await, Some(Match::Nobody));
        let stranger = Authority::new(jiff::Timestamp::now()).expect("an authority");
        let forged = stranger.client(PBX, &[]).expect("a certificate");
        assert_eq!(
            handshake(&server, Some(&forged)).await,
            Some(Match::Nobody),
            "signed by somebody else"
        );
    }

    #[tokio::test]
    async fn an_expired_certificate_of_a_known_trunk_fails_the_handshake() {
        let server = server();
        let then = "2020-01-01T00:00:00Z".parse().expect("a time");
        let expired = server.authority.client_as_of(then, PBX).expect("a certificate");
        assert_eq!(handshake(&server, Some(&expired)).await, None);
        let unknown =
            server.authority.client_as_of(then, "sip:other.example").expect("a certificate");
        assert_eq!(
            handshake(&server, Some(&unknown)).await,
            Some(Match::Nobody),
            "one that fits no record is as none"
        );
    }
}
