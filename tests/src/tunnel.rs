//! A TLS connection for who has none: stunnel (Debian's package), a program of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::trial::Trial;

/// Takes plain connections and passes them on to a [`Trial`]'s TLS listener, whose certificate it checks.
#[derive(Debug)]
pub struct Tunnel {
    child: Child,
    address: SocketAddr,
}

impl Tunnel {
    /// One with the trunk's certificate.
    ///
    /// # Panics
    ///
    /// When stunnel does not start.
    #[must_use]
    pub fn of_the_trunk(trial: &Trial) -> Self {
        Self::start(trial, &trial.dir().join("trunk.stunnel"), &trunk(trial))
    }

    /// The same, with TLS 1.2 and nothing newer.
    ///
    /// # Panics
    ///
    /// When stunnel does not start.
    #[must_use]
    pub fn of_the_trunk_by_tls_1_2(trial: &Trial) -> Self {
        let identity = format!("{}sslVersionMax = TLSv1.2\n", trunk(trial));
        Self::start(trial, &trial.dir().join("trunk-1-2.stunnel"), &identity)
    }

    /// One without a certificate.
    ///
    /// # Panics
    ///
    /// When stunnel does not start.
    #[must_use]
    pub fn of_nobody(trial: &Trial) -> Self {
        Self::start(trial, &trial.dir().join("nobody.stunnel"), "")
    }

    fn start(trial: &Trial, file: &Path, identity: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let address = free.expect("a free port");
        let json = trial.json();
        let ca = json["ca"].as_str().expect("a path");
        let server = trial.address("tls");
        let text = format!(
            "foreground = yes\npid =\nsyslog = no\n[hushbox]\nclient = yes\naccept = {address}\n\
             connect = {server}\nCAfile = {ca}\nverifyChain = yes\n{identity}"
        );
        std::fs::write(file, text).expect("written");
        let mut command = Command::new("stunnel4");
        command.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let tunnel = Self { child: command.spawn().expect("stunnel starts"), address };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "stunnel does not listen");
            std::thread::yield_now();
        }
        tunnel
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn trunk(trial: &Trial) -> String {
    let json = trial.json();
    let path = |pointer| json.pointer(pointer).and_then(|p| p.as_str()).expect("a path");
    format!("cert = {}\nkey = {}\n", path("/trunk/cert"), path("/trunk/key"))
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
