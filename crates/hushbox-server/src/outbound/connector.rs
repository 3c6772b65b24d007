//! Connections that we open.

use std::net::SocketAddr;
use std::sync::Arc;

use hushbox_sip::{Attempt, Destination, Flow, Transport};
use hushbox_store::CertificateOwner;
use rustls::ClientConfig;
use rustls::pki_types::{ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::client_certificates::{ClientCertificates, Match};
use crate::config::Config;
use crate::listener::{Arrival, Numbering, Place, stream};
use crate::{limits, tls};

/// What TLS needs.
#[derive(Clone)]
pub struct Secure {
    /// Names the files: our certificate, and who may sign a server's.
    pub config: Arc<Config>,
    /// Says which trunk a server's certificate is.
    pub known: Arc<ClientCertificates<CertificateOwner>>,
}

/// Opens connections for signalling.
#[derive(Clone)]
pub struct Connector {
    /// Absent where there is no TLS listener: then there is no certificate of ours either.
    pub secure: Option<Secure>,
    /// Numbers connections, those that come in among them.
    pub numbering: Numbering,
    /// The signalling task.
    pub arrivals: mpsc::Sender<Arrival<CertificateOwner>>,
}

/// Why a connection was not opened; never what the peer said, which may quote names out of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unopened {
    #[error("it took too long")]
    TooSlow,
    #[error("the peer does not take connections")]
    Refused,
    #[error("there is no certificate to be used on this server")]
    NoTls,
    #[error("the peer's name cannot stand in a certificate")]
    NoName,
    #[error(
        "the peer's certificate is not signed by an authority of tls.server_cas, or names somebody else"
    )]
    Certificate,
    #[error("the TLS handshake failed")]
    Handshake,
}

impl Secure {
    /// Read anew for each connection, so that a renewed certificate is shown by the next one.
    async fn client_config(&self) -> Result<Arc<ClientConfig>, Unopened> {
        let config = Arc::clone(&self.config);
        let read = tokio::task::spawn_blocking(move || tls::client_config(&config)).await;
        let read = read.map_err(|_| Unopened::NoTls)?;
        read.inspect_err(|error| tracing::error!(%error, "our certificate cannot be used"))
            .map_err(|_| Unopened::NoTls)
    }
}

impl Connector {
    /// Opens a connection, and tells signalling how that went.
    pub fn open(&self, attempt: Attempt, destination: Destination) {
        let connector = self.clone();
        tokio::spawn(async move {
            let tried = timeout(limits::CONNECT_MAX, connector.try_to(attempt, &destination));
            let failed = match tried.await {
                Ok(Ok(carried)) => return carried.await,
                Ok(Err(why)) => why,
                Err(_) => Unopened::TooSlow,
            };
            let remote = destination.remote;
            tracing::warn!(%remote, "no connection was opened: {failed}");
            // A failure here means that signalling has ended.
            let _ended = connector.arrivals.send(Arrival::Unconnected { attempt }).await;
        });
    }

    /// What carries the connection once it is open.
    async fn try_to(
        &self,
        attempt: Attempt,
        destination: &Destination,
    ) -> Result<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>, Unopened> {
        let stream = TcpStream::connect(destination.remote).await.map_err(|_| Unopened::Refused)?;
        stream::prepare(&stream).map_err(|_| Unopened::Refused)?;
        let local = stream.local_addr().map_err(|_| Unopened::Refused)?;
        let flow = self.flow(destination, local);
        let arrivals = self.arrivals.clone();
        if destination.transport != Transport::Tls {
            let opened = stream::Begun { flow, peer: Match::Nobody, attempt: Some(attempt) };
            return Ok(Box::pin(stream::carry(stream, opened, arrivals, Place::Ours)));
        }
        let secure = self.secure.as_ref().ok_or(Unopened::NoTls)?;
        let name = destination.name.clone().and_then(|name| ServerName::try_from(name).ok());
        let name = name.ok_or(Unopened::NoName)?;
        let connector = TlsConnector::from(secure.client_config().await?);
        let stream = connector.connect(name, stream).await.map_err(|error| why(&error))?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = match secure.known.look_up_server(chain, UnixTime::now()) {
            Ok(Match::One(trunk @ CertificateOwner::Trunk(_))) => Match::One(trunk),
            // A telephone is called by nobody here, and its certificate makes nobody a PBX.
            Ok(Match::One(CertificateOwner::Device(_)) | Match::Nobody) | Err(_) => Match::Nobody,
            Ok(Match::Several) => Match::Several,
        };
        let opened = stream::Begun { flow, peer, attempt: Some(attempt) };
        Ok(Box::pin(stream::carry(stream, opened, arrivals, Place::Ours)))
    }

    fn flow(&self, destination: &Destination, local: SocketAddr) -> Flow {
        Flow {
            transport: destination.transport,
            local,
            remote: destination.remote,
            connection: Some(self.numbering.next()),
        }
    }
}

fn why(error: &std::io::Error) -> Unopened {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => Unopened::Certificate,
        _ => Unopened::Handshake,
    }
}
