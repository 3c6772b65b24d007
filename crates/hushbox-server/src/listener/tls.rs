//! The TLS listener.

use std::net::SocketAddr;
use std::sync::Arc;

use hushbox_sip::{Flow, Transport};
use rustls::CertificateError;
use rustls::pki_types::UnixTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Admitted, Arrival, Connections, Numbering, Place, stream, tcp};
use crate::client_certificates::{ClientCertificates, Match};
use crate::limits;
use crate::metrics::{self, NoConnection, TlsFailure};
use crate::tls_files::CurrentTls;

/// What every TLS connection shares.
pub struct Shared<P> {
    /// Makes the handshakes.
    pub tls: Arc<CurrentTls>,
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
            tls: Arc::clone(&self.tls),
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
    let stream = match timeout(limits::HANDSHAKE_MAX, shared.tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let why = failure(&error);
            metrics::tls_failed(why);
            if matches!(why, TlsFailure::OutOfDate | TlsFailure::Revoked) {
                (shared.rejected)();
            }
            // The kind alone: the text may quote names out of a certificate.
            tracing::debug!(why = why.as_str(), kind = ?error.kind(), "a TLS handshake failed");
            return;
        }
        Err(_) => {
            metrics::tls_failed(TlsFailure::Slow);
            tracing::debug!("a TLS handshake took too long");
            return;
        }
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    // The handshake's verdict is not kept by rustls, and the directory may have changed meanwhile: look again.
    let Ok(peer) = shared.clients.look_up(chain, UnixTime::now()) else { return };
    if !matches!(peer, Match::One(_)) && !admitted.stay_as_stranger() {
        metrics::connection_refused(NoConnection::Stranger);
        tracing::debug!("a connection was closed: the last places are for known peers");
        return;
    }
    let flow = Flow {
        transport: Transport::Tls,
        local,
        remote,
        connection: Some(shared.numbering.next()),
    };
    let begun = stream::Begun { flow, peer, attempt: None };
    stream::carry(stream, begun, shared.arrivals, Place::Theirs(admitted)).await;
}

/// Why a handshake failed.
fn failure(error: &std::io::Error) -> TlsFailure {
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        return TlsFailure::Closed;
    };
    match inner {
        rustls::Error::InvalidCertificate(CertificateError::Expired) => TlsFailure::OutOfDate,
        rustls::Error::InvalidCertificate(CertificateError::Revoked) => TlsFailure::Revoked,
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            TlsFailure::Certificate
        }
        rustls::Error::AlertReceived(_) => TlsFailure::Alert,
        rustls::Error::PeerIncompatible(_) => TlsFailure::Incompatible,
        rustls::Error::InvalidMessage(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. }
        | rustls::Error::PeerMisbehaved(_) => TlsFailure::NotTls,
        _ => TlsFailure::Other,
    }
}
