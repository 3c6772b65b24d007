//! The lab listener for TCP, and accepting for TLS.

use std::net::SocketAddr;

use hushbox_sip::{Flow, Transport};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{Admitted, Arrival, Connections, Numbering, Place, stream};
use crate::client_certificates::Match;
use crate::limits;
use crate::metrics::{self, NoConnection};

/// The next connection that may stay.
pub async fn accept(
    listener: &TcpListener,
    connections: &Connections,
) -> (TcpStream, SocketAddr, Admitted) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => match connections.admit(remote.ip()) {
                Some(admitted) => match stream::prepare(&stream) {
                    Ok(()) => return (stream, remote, admitted),
                    Err(error) => tracing::debug!(%error, "a connection went before it was taken"),
                },
                // Not louder: whoever opens them decides how many lines there are.
                None => {
                    metrics::connection_refused(NoConnection::Limit);
                    tracing::debug!("a connection above the limits was closed");
                }
            },
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken");
                tokio::time::sleep(limits::ACCEPT_REST).await;
            }
        }
    }
}

/// Serves connections until signalling ends.
pub async fn serve<P: Send + 'static>(
    listener: TcpListener,
    local: SocketAddr,
    connections: Connections,
    numbering: Numbering,
    arrivals: mpsc::Sender<Arrival<P>>,
) {
    loop {
        let (stream, remote, mut admitted) = tokio::select! {
            () = arrivals.closed() => return,
            accepted = accept(&listener, &connections) => accepted,
        };
        if !admitted.stay_as_stranger() {
            metrics::connection_refused(NoConnection::Stranger);
            tracing::debug!("a connection was closed: the last places are for known peers");
            continue;
        }
        let flow =
            Flow { transport: Transport::Tcp, local, remote, connection: Some(numbering.next()) };
        let begun = stream::Begun { flow, peer: Match::Nobody, attempt: None };
        tokio::spawn(stream::carry(stream, begun, arrivals.clone(), Place::Theirs(admitted)));
    }
}
