//! The lab listener for UDP.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use hushbox_sip::{Flow, Transport};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::Arrival;
use crate::limits;
use crate::metrics;

/// Receives datagrams until signalling ends. A full queue drops them: their senders repeat what matters.
pub async fn serve<P>(
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    arrivals: mpsc::Sender<Arrival<P>>,
) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(limits::DATAGRAM_BYTES);
        let received = tokio::select! {
            () = arrivals.closed() => return,
            received = socket.recv_buf_from(&mut buffer) => received,
        };
        match received {
            Ok((_, remote)) => {
                let flow = Flow { transport: Transport::Udp, local, remote, connection: None };
                // Copied to its own size: datagrams are small, and the buffer is not.
                let bytes = bytes::Bytes::copy_from_slice(&buffer);
                buffer.clear();
                if let Err(mpsc::error::TrySendError::Full(_)) =
                    arrivals.try_send(Arrival::Datagram { flow, bytes })
                {
                    metrics::datagram_dropped();
                    tracing::debug!("a datagram was dropped: signalling is behind");
                }
            }
            // An ICMP error for something that was sent: the socket itself is well.
            Err(error) => tracing::debug!(%error, "a datagram could not be received"),
        }
    }
}
