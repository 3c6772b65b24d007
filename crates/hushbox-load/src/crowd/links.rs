//! The connections that a crowd's calls share: what is sent is queued, what comes is whole messages out of one queue.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::limits::{BODY_MAX, CONNECTIONS_MAX, CROWD_QUEUE_MAX};
use crate::message::StreamFramer;
use crate::transport::{Identity, Socket, Transport};

/// What came, and on which link.
pub(super) enum Arrival {
    Message(usize, Vec<u8>),
    /// A link was lost: what is measured from then on means nothing.
    Lost(String),
}

/// The connections.
pub(super) struct Links {
    links: Vec<Link>,
    arrivals: mpsc::Receiver<Arrival>,
    _tasks: JoinSet<()>,
}

struct Link {
    local: SocketAddr,
    sink: Sink,
}

enum Sink {
    Datagrams(Arc<UdpSocket>),
    Stream(mpsc::Sender<Vec<u8>>),
}

impl Links {
    /// Opens so many connections.
    pub(super) async fn open(
        transport: Transport,
        remote: SocketAddr,
        identity: &Identity,
        count: usize,
    ) -> Result<Self, Error> {
        if count == 0 || count > CONNECTIONS_MAX {
            return Err(Error::Plan(format!("1 to {CONNECTIONS_MAX} connections")));
        }
        let (sender, arrivals) = mpsc::channel(CROWD_QUEUE_MAX);
        let mut tasks = JoinSet::new();
        let mut links = Vec::new();
        for number in 0..count {
            let arrivals = sender.clone();
            links.push(match Socket::open(transport, remote, identity).await? {
                Socket::Datagrams(socket) => {
                    let (local, socket) = (socket.local_addr()?, Arc::new(socket));
                    tasks.spawn(read_datagrams(number, Arc::clone(&socket), arrivals));
                    Link { local, sink: Sink::Datagrams(socket) }
                }
                Socket::Stream { local, stream } => {
                    let (source, sink) = tokio::io::split(stream);
                    let (queue, queued) = mpsc::channel(CROWD_QUEUE_MAX);
                    tasks.spawn(read_stream(number, source, arrivals));
                    tasks.spawn(write_stream(sink, queued));
                    Link { local, sink: Sink::Stream(queue) }
                }
            });
        }
        Ok(Self { links, arrivals, _tasks: tasks })
    }

    pub(super) fn count(&self) -> usize {
        self.links.len()
    }

    /// This end of a link.
    pub(super) fn local(&self, link: usize) -> SocketAddr {
        self.links[link].local
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Arrival {
        let ended = || Arrival::Lost("no link is left".into());
        self.arrivals.recv().await.unwrap_or_else(ended)
    }

    /// Sends one message. A datagram that the machine has no room for is lost, as the network may lose it.
    pub(super) fn send(&self, link: usize, bytes: &[u8]) -> Result<(), Error> {
        match &self.links[link].sink {
            Sink::Datagrams(socket) => {
                let _lost = socket.try_send(bytes);
                Ok(())
            }
            Sink::Stream(queue) => {
                let slow = |_| Error::ConnectionLost("the server reads too slowly".into());
                queue.try_send(bytes.to_vec()).map_err(slow)
            }
        }
    }
}

async fn read_datagrams(link: usize, socket: Arc<UdpSocket>, arrivals: mpsc::Sender<Arrival>) {
    let mut buffer = vec![0; BODY_MAX];
    loop {
        // What ICMP says of an earlier datagram comes out here: the repeats deal with it.
        let Ok(length) = socket.recv(&mut buffer).await else { continue };
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        if arrivals.send(Arrival::Message(link, bytes)).await.is_err() {
            return;
        }
    }
}

async fn read_stream(
    link: usize,
    mut source: impl tokio::io::AsyncRead + Unpin,
    arrivals: mpsc::Sender<Arrival>,
) {
    let mut framer = StreamFramer::default();
    let mut buffer = vec![0; 64 * 1024];
    let lost = loop {
        match source.read(&mut buffer).await {
            Ok(0) => break "closed by the server".to_owned(),
            Ok(length) => framer.push(buffer.get(..length).unwrap_or_default()),
            Err(e) => break e.to_string(),
        }
        loop {
            match framer.next_message() {
                Ok(None) => break,
                Ok(Some(bytes)) => {
                    if arrivals.send(Arrival::Message(link, bytes)).await.is_err() {
                        return;
                    }
                }
                Err(e) => {
                    let _gone = arrivals.send(Arrival::Lost(e.to_string())).await;
                    return;
                }
            }
        }
    };
    // Nobody listens any more where the run is over.
    let _gone = arrivals.send(Arrival::Lost(lost)).await;
}

async fn write_stream(
    mut sink: impl tokio::io::AsyncWrite + Unpin,
    mut queued: mpsc::Receiver<Vec<u8>>,
) {
    let mut together = Vec::new();
    while let Some(bytes) = queued.recv().await {
        together.clear();
        together.extend_from_slice(&bytes);
        // What waits goes out in one write.
        while let Ok(more) = queued.try_recv() {
            together.extend_from_slice(&more);
        }
        if sink.write_all(&together).await.is_err() || sink.flush().await.is_err() {
            // The reader says that the link is lost.
            return;
        }
    }
}
