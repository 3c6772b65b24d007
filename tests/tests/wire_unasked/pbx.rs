//! A PBX that listens: it takes TLS connections with the trial's certificate of a trunk, and hands over each request
//! that comes by them, to be answered.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hushbox_load::message::{Message, Request, StreamFramer, Writer, parse};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use hushbox_tests::trial::Trial;

/// How long it waits for a request.
const LONGEST: Duration = Duration::from_secs(60);

/// A request, and the way back.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The request.
    pub(crate) request: Request,
    answer: mpsc::UnboundedSender<Vec<u8>>,
}

impl Heard {
    /// Answers it, with these header fields more.
    pub(crate) fn answer(&self, status: &str, more: &[(&str, &str)]) {
        let mut writer = Writer::new(&format!("SIP/2.0 {status}"));
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for value in self.request.headers.all(name) {
                writer = writer.header(name, value);
            }
        }
        for (name, value) in more {
            writer = writer.header(name, value);
        }
        // Its connection may be gone.
        let _gone = self.answer.send(writer.end());
    }

    /// Its body as text.
    pub(crate) fn body(&self) -> String {
        String::from_utf8_lossy(&self.request.body).into_owned()
    }
}

/// The PBX.
#[derive(Debug)]
pub(crate) struct ListeningPbx {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    heard: mpsc::UnboundedReceiver<Heard>,
}

impl ListeningPbx {
    /// Listens at a free port of 127.0.0.1, with the certificate of the trial's trunk.
    ///
    /// # Panics
    ///
    /// Where the trial has no such certificate, or there is no port.
    pub(crate) async fn listen(trial: &Trial) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let acceptor = acceptor(trial);
        let (says, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, says.clone()));
            }
        });
        Self { address, heard }
    }

    /// The next request.
    ///
    /// # Panics
    ///
    /// Where none comes.
    pub(crate) async fn next(&mut self) -> Heard {
        let next = tokio::time::timeout(LONGEST, self.heard.recv()).await;
        next.expect("in time").expect("it listens")
    }
}

fn acceptor(trial: &Trial) -> TlsAcceptor {
    let json = trial.json();
    let path = |pointer: &str| {
        PathBuf::from(json.pointer(pointer).and_then(|v| v.as_str()).expect("a path"))
    };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path("/trunk/cert")).expect("PEM").collect();
    let key = PrivateKeyDer::from_pem_file(path("/trunk/key")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_no_client_auth()
        .with_single_cert(chain.expect("certificates"), key)
        .expect("a pair");
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, says: mpsc::UnboundedSender<Heard>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let (mut source, mut sink) = tokio::io::split(stream);
    let (answer, mut answers) = mpsc::unbounded_channel::<Vec<u8>>();
    let mut framer = StreamFramer::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            read = source.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => framer.push(&buffer[..length]),
            },
            bytes = answers.recv() => {
                let Some(bytes) = bytes else { return };
                if sink.write_all(&bytes).await.is_err() || sink.flush().await.is_err() {
                    return;
                }
            }
        }
        while let Ok(Some(bytes)) = framer.next_message() {
            if let Ok(Message::Request(request)) = parse(&bytes) {
                let answer = answer.clone();
                if says.send(Heard { request, answer }).is_err() {
                    return;
                }
            }
        }
    }
}
