//! Kamailio (Debian's package) as a program of its own, on the configuration that a test has written.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long it may take until it listens, and until it has ended.
const WITHIN: Duration = Duration::from_secs(40);

/// A running Kamailio. One whose test panics shows its log.
#[derive(Debug)]
pub struct Kamailio {
    folder: TempDir,
    child: Child,
}

impl Kamailio {
    /// Starts it on `folder`'s `kamailio.cfg`, and waits until it listens at `address`.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(folder: TempDir, address: SocketAddr) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let child = Command::new("kamailio")
            .args(["-DD", "-E", "-m", "64", "-M", "8", "-f"])
            .arg(folder.path().join("kamailio.cfg"))
            .arg("-P")
            .arg(folder.path().join("pid"))
            .arg("-Y")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("kamailio starts");
        let kamailio = Self { folder, child };
        let deadline = Instant::now() + WITHIN;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "kamailio does not listen");
            pause();
        }
        kamailio
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

#[expect(clippy::print_stderr, reason = "a test that failed shows why")]
impl Drop for Kamailio {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        // Killed at once, it would leave its children behind.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let deadline = Instant::now() + WITHIN;
        while !matches!(self.child.try_wait(), Ok(Some(_))) && Instant::now() < deadline {
            pause();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A moment of real time, for what another program does.
pub fn pause() {
    let (_keep, pause) = mpsc::channel::<()>();
    let _ = pause.recv_timeout(Duration::from_millis(50));
}
