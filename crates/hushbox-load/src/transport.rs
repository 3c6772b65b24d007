//! TLS, TCP and UDP connections to a server. TLS always verifies it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::digest::Credentials;
use crate::error::Error;
use crate::limits::{BODY_MAX, CONNECT_MAX, FILE_MAX_BYTES, QUEUE_MAX};
use crate::message::{Message, StreamFramer, parse};

/// How SIP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// TLS over TCP.
    Tls,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// The name in a Via (RFC 3261 §20.42).
    pub fn via(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    /// The value of a URI's `transport` parameter (RFC 3261 §19.1.1).
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Who calls, and whom it trusts.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The CA that a TLS server must come from (PEM).
    pub ca: Option<PathBuf>,
    /// The client certificate chain and its key (PEM).
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The answer to a digest challenge.
    pub credentials: Option<Credentials>,
    /// The name that the server's certificate must have; none: the address that is called.
    pub server_name: Option<String>,
}

/// Both ways of a stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection before anything is read from it.
pub(crate) enum Socket {
    Datagrams(UdpSocket),
    Stream { local: SocketAddr, stream: Box<dyn Stream> },
}

impl Socket {
    /// Connects; TLS verifies the server's certificate against the identity's CA.
    pub(crate) async fn open(
        transport: Transport,
        remote: SocketAddr,
        identity: &Identity,
    ) -> Result<Self, Error> {
        let failed = |what: String| Error::Connect { address: remote, what };
        let opening = async {
            match transport {
                Transport::Udp => {
                    let any: SocketAddr = match remote {
                        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
                    };
                    let socket = UdpSocket::bind(any).await?;
                    socket.connect(remote).await?;
                    Ok(Self::Datagrams(socket))
                }
                Transport::Tcp => {
                    let stream = TcpStream::connect(remote).await?;
                    stream.set_nodelay(true)?;
                    Ok(Self::Stream { local: stream.local_addr()?, stream: Box::new(stream) })
                }
                Transport::Tls => {
                    let config = client_config(identity)?;
                    let name = match &identity.server_name {
                        Some(name) => ServerName::try_from(name.clone())
                            .map_err(|_| Error::Plan(format!("{name} is no server name")))?,
                        None => ServerName::from(remote.ip()),
                    };
                    let stream = TcpStream::connect(remote).await?;
                    stream.set_nodelay(true)?;
                    let local = stream.local_addr()?;
                    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
                    let stream = connector.connect(name, stream).await?;
                    Ok(Self::Stream { local, stream: Box::new(stream) })
                }
            }
        };
        match tokio::time::timeout(CONNECT_MAX, opening).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(Error::Socket(e))) => Err(failed(e.to_string())),
            Ok(Err(other)) => Err(other),
            Err(_) => Err(failed("no answer in time".into())),
        }
    }
}

/// A connection: what is written goes out whole, what comes in is whole messages.
pub struct Connection {
    /// How it travels.
    pub transport: Transport,
    /// This end.
    pub local: SocketAddr,
    /// The server's end.
    pub remote: SocketAddr,
    sink: Sink,
    incoming: mpsc::Receiver<Result<Message, Error>>,
    reader: JoinHandle<()>,
}

enum Sink {
    Stream(Box<dyn AsyncWrite + Send + Unpin>),
    Datagrams(Arc<UdpSocket>),
}

impl Connection {
    /// Connects; TLS verifies the server's certificate against the identity's CA.
    pub async fn open(
        transport: Transport,
        remote: SocketAddr,
        identity: &Identity,
    ) -> Result<Self, Error> {
        match Socket::open(transport, remote, identity).await? {
            Socket::Datagrams(socket) => Self::over_datagrams(socket, remote),
            Socket::Stream { local, stream } => {
                Ok(Self::over_stream(transport, local, remote, stream))
            }
        }
    }

    fn over_stream(
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
        stream: Box<dyn Stream>,
    ) -> Self {
        let (mut source, sink) = tokio::io::split(stream);
        let (sender, incoming) = mpsc::channel(QUEUE_MAX);
        let reader = tokio::spawn(async move {
            let mut framer = StreamFramer::default();
            let mut buffer = vec![0; 16 * 1024];
            loop {
                let read = match source.read(&mut buffer).await {
                    Ok(0) => Err(Error::ConnectionLost("closed by the server".into())),
                    Ok(length) => Ok(length),
                    Err(e) => Err(Error::ConnectionLost(e.to_string())),
                };
                let outcome = match read {
                    Ok(length) => {
                        framer.push(&buffer[..length]);
                        forward_all(&mut framer, &sender).await
                    }
                    Err(e) => Err(e),
                };
                if let Err(e) = outcome {
                    // The dialog may be gone already: then nobody needs to know.
                    let _ = sender.send(Err(e)).await;
                    return;
                }
            }
        });
        Self { transport, local, remote, sink: Sink::Stream(Box::new(sink)), incoming, reader }
    }

    fn over_datagrams(socket: UdpSocket, remote: SocketAddr) -> Result<Self, Error> {
        let local = socket.local_addr()?;
        let socket = Arc::new(socket);
        let (sender, incoming) = mpsc::channel(QUEUE_MAX);
        let source = Arc::clone(&socket);
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; BODY_MAX];
            // An ICMP error comes out of recv as well: the repeats and their deadline deal with a few.
            let mut errors = 0;
            while errors < QUEUE_MAX {
                let Ok(length) = source.recv(&mut buffer).await else {
                    errors += 1;
                    continue;
                };
                let message = parse(&buffer[..length]);
                if sender.send(message).await.is_err() {
                    return;
                }
            }
        });
        let transport = Transport::Udp;
        Ok(Self { transport, local, remote, sink: Sink::Datagrams(socket), incoming, reader })
    }

    /// Writes one message.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let lost = |e: std::io::Error| Error::ConnectionLost(e.to_string());
        match &mut self.sink {
            Sink::Datagrams(socket) => match socket.send(bytes).await {
                Ok(_) => Ok(()),
                // What ICMP said of an earlier datagram; RFC 3261 §18.4 leaves it to the repeats.
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
                Err(e) => Err(lost(e)),
            },
            Sink::Stream(stream) => {
                let writing = async {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                };
                match tokio::time::timeout(CONNECT_MAX, writing).await {
                    Ok(written) => written.map_err(lost),
                    Err(_) => Err(Error::ConnectionLost("the server reads nothing".into())),
                }
            }
        }
    }

    /// The next message; cancelling this loses none.
    pub async fn receive(&mut self) -> Result<Message, Error> {
        let ended = || Error::ConnectionLost("the reader ended".into());
        self.incoming.recv().await.ok_or_else(ended)?
    }

    /// How long until an unanswered request is repeated: never on a stream (RFC 3261 §17.1.1.2).
    pub fn first_repeat(&self) -> Option<Duration> {
        (self.transport == Transport::Udp).then_some(crate::limits::T1)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn forward_all(
    framer: &mut StreamFramer,
    sender: &mpsc::Sender<Result<Message, Error>>,
) -> Result<(), Error> {
    while let Some(bytes) = framer.next_message()? {
        let gone = |_| Error::ConnectionLost("the dialog ended".into());
        sender.send(parse(&bytes)).await.map_err(gone)?;
    }
    Ok(())
}

fn client_config(identity: &Identity) -> Result<rustls::ClientConfig, Error> {
    let ca = identity.ca.as_deref();
    let ca = ca.ok_or_else(|| Error::Plan("TLS needs the server's CA (--ca FILE)".into()))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|e| Error::content(ca, e.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Plan(e.to_string()))?
        .with_root_certificates(roots);
    let Some((chain, key)) = &identity.certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let private = PrivateKeyDer::from_pem_slice(&read_small(key)?)
        .map_err(|_| Error::content(key, "no private key in PEM"))?;
    builder
        .with_client_auth_cert(certificates(chain)?, private)
        .map_err(|e| Error::content(chain, e.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read_small(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|e| Error::content(path, e.to_string()))?;
    if found.is_empty() {
        return Err(Error::content(path, "no certificate in PEM"));
    }
    Ok(found)
}

/// Reads a file of at most [`FILE_MAX_BYTES`].
pub fn read_small(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|e| Error::file(path, e))?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|e| Error::file(path, e))?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(Error::content(path, "too long"));
    }
    Ok(bytes)
}
