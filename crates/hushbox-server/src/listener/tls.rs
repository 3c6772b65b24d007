//! The TLS listener.

use std::net::SocketAddr;
use std::sync::Arc;

use hushbox_sip::{Flow, Transport};
use rustls::pki_types::UnixTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{Admitted, Arrival, Connections, Numbering, stream, tcp};
use crate::client_certificates::{ClientCertificates, Match};
use crate::limits;

/// What every TLS connection shares.
pub struct Shared<P> {
    /// Makes the handshakes.
    pub acceptor: TlsAcceptor,
    /// Says whose a certificate is.
    pub clients: Arc<ClientCertificates<P>>,
    /// Counts connections.
    pub connections: Connections,
    /// Numbers them.
    pub numbering: Numbering,
    /// The signalling task.
    pub arrivals: mpsc::Sender<Arrival<P>>,
    /// Told of each peer whose certificate fits a record and does not hold.
    pub rejected: Rejected,
}

/// Takes news of a rejected certificate.
pub type Rejected = Arc<dyn Fn() + Send + Sync>;

impl<P> Clone for Shared<P> {
    fn clone(&self) -> Self {
        Self {
            acceptor: self.acceptor.clone(),
            clients: Arc::clone(&self.clients),
            connections: self.connections.clone(),
            numbering: self.numbering.clone(),
            arrivals: self.arrivals.clone(),
            rejected: Arc::clone(&self.rejected),
        }
    }
}

/// Serves connections until signalling ends.
pub async fn serve<P: Send + 'static>(listener: TcpListener, local: SocketAddr, shared: Shared<P>) {
    loop {
        let (stream, remote, admitted) = tokio::select! {
            () = shared.arrivals.closed() => return,
            accepted = tcp::accept(&listener, &shared.connections) => accepted,
        };
        tokio::spawn(connection(stream, local, remote, admitted, shared.clone()));
    }
}

async fn connection<P>(
    stream: TcpStream,
    local: SocketAddr,
    remote: SocketAddr,
    mut admitted: Admitted,
    shared: Shared<P>,
) {
    let stream = match timeout(limits::HANDSHAKE_MAX, shared.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            if is_certificate(&error) {
                (shared.rejected)();
            }
            // The kind alone: the text may quote names out of a certificate.
            tracing::debug!(kind = ?error.kind(), "a TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            return;
        }
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    // The handshake's verdict is not kept by rustls, and the directory may have changed meanwhile: look again.
    let Ok(peer) = shared.clients.look_up(chain, UnixTime::now()) else { return };
    if !matches!(peer, Match::One(_)) && !admitted.stay_as_stranger() {
        tracing::debug!("a connection was closed: the last places are for known peers");
        return;
    }
    let flow = Flow {
        transport: Transport::Tls,
        local,
        remote,
        connection: Some(shared.numbering.next()),
    };
    stream::carry(stream, flow, peer, shared.arrivals, admitted).await;
}

/// Whether a handshake failed on the peer's certificate.
fn is_certificate(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}
