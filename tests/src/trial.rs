//! A trial installation of the real server, started as its own process on loopback with free ports.
//!
//! It is what `make run` makes, in a temporary folder: tests that need real sockets, real files or a real kill use
//! it; everything else belongs to the simulation. The program is the one that `make test` has built.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// How long a server may take to say `ready`.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to stop: 60 s for live calls, and some for its files.
const STOP_WITHIN: Duration = Duration::from_secs(75);

/// The path of one of the project's programs, beside the folder of the running test.
///
/// # Panics
///
/// When the program has not been built: `make test` builds it first.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().expect("a test knows where it is");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let program = folder.join(name);
    assert!(program.exists(), "{name} is not built: run `cargo build --workspace --bins` first");
    program
}

/// Whether a program of Debian's is there.
#[must_use]
pub fn is_installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    found.is_ok_and(|output| output.status.success())
}

/// Says aloud that something could not be tested here; the test that calls it then shows nothing.
#[expect(clippy::print_stderr, reason = "this is what a warning of a test is")]
pub fn warn_not_tested(what: &str) {
    eprintln!("WARNING: {what}: this is NOT tested");
}

/// A folder made by `hushbox quickstart`, and the server that runs on it, if one does.
#[derive(Debug)]
pub struct Trial {
    folder: tempfile::TempDir,
    server: Option<Server>,
}

#[derive(Debug)]
struct Server {
    child: Child,
    ready: String,
    log: std::thread::JoinHandle<String>,
}

impl Trial {
    /// Makes a new trial folder with free ports, without serving it. `more` are further options of `quickstart`.
    #[must_use]
    pub fn create(more: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("hb").tempdir().expect("a temporary folder");
        let dir = folder.path().join("d");
        let made = Command::new(program("hushbox"))
            .args(["quickstart", "--no-serve", "--dir"])
            .arg(&dir)
            .args(if more.contains(&"--sip-tls") { &[][..] } else { &["--sip-tls", "127.0.0.1:0"] })
            .args(more)
            .output()
            .expect("quickstart runs");
        assert!(made.status.success(), "quickstart: {}", String::from_utf8_lossy(&made.stderr));
        Self { folder, server: None }
    }

    /// Makes a trial folder and serves it.
    #[must_use]
    pub fn start(more: &[&str]) -> Self {
        let mut trial = Self::create(more);
        trial.serve();
        trial
    }

    /// The folder `DIR` of design and README.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("d")
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir().join("hushbox.toml")
    }

    /// trial.json as it stands.
    #[must_use]
    pub fn json(&self) -> Value {
        let text = std::fs::read(self.dir().join("trial.json")).expect("trial.json is there");
        serde_json::from_slice(&text).expect("trial.json is JSON")
    }

    /// Puts the data folder somewhere else, as an operator would: the folder moved, the configuration told.
    ///
    /// # Panics
    ///
    /// When the configuration does not name the data folder.
    pub fn move_data_to(&self, place: &Path) {
        let copied = Command::new("cp").arg("-a").arg(self.dir().join("data")).arg(place).status();
        assert!(copied.is_ok_and(|s| s.success()), "the data folder is copied");
        let text = std::fs::read_to_string(self.config()).expect("the configuration");
        let told: Vec<String> = text
            .lines()
            .map(|line| match line.split_once('=') {
                Some((key, _)) if key.trim() == "data" => format!("data = {place:?}"),
                _ => line.to_owned(),
            })
            .collect();
        assert_ne!(told.join("\n").trim(), text.trim(), "the configuration names the data folder");
        std::fs::write(self.config(), told.join("\n") + "\n").expect("written");
    }

    /// Adds a line to a section of the configuration, and the section where there is none.
    ///
    /// # Panics
    ///
    /// When the configuration can't be read or written.
    pub fn configure(&self, section: &str, line: &str) {
        let text = std::fs::read_to_string(self.config()).expect("the configuration");
        let head = format!("[{section}]");
        let told = if text.contains(&head) {
            text.replacen(&head, &format!("{head}\n{line}"), 1)
        } else {
            format!("{text}\n{head}\n{line}\n")
        };
        std::fs::write(self.config(), told).expect("written");
    }

    /// Copies the audit log somewhere else; [`Trial::configure`] says so to the server.
    ///
    /// # Panics
    ///
    /// When it can't be copied.
    pub fn move_audit_to(&self, place: &Path) {
        let copied =
            Command::new("cp").arg("-a").arg(self.dir().join("data/audit")).arg(place).status();
        assert!(copied.is_ok_and(|s| s.success()), "the audit log is copied");
    }

    /// Starts the server and waits until it accepts calls.
    pub fn serve(&mut self) {
        assert!(self.server.is_none(), "it runs already");
        let mut child = Command::new(program("hushbox"))
            .args(["serve", "--config"])
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = child.stdout.take().expect("piped");
        let mut stderr = child.stderr.take().expect("piped");
        let log = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let (said, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.starts_with("ready") {
                    let _ = said.send(line);
                }
            }
        });
        let Ok(ready) = heard.recv_timeout(READY_WITHIN) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server did not get ready: {}", log.join().expect("the log is read"));
        };
        self.server = Some(Server { child, ready, log });
    }

    /// The line `ready ...` of the running server.
    #[must_use]
    pub fn ready(&self) -> &str {
        &self.server.as_ref().expect("it runs").ready
    }

    /// An address of the running server: `tls`, `lab_udp` or `lab_tcp`.
    #[must_use]
    pub fn address(&self, listener: &str) -> SocketAddr {
        let prefix = format!("{listener}=");
        let word = self.ready().split(' ').find_map(|w| w.strip_prefix(&prefix));
        word.expect("that listener is on").parse().expect("an address")
    }

    /// The process id of the running server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.as_ref().expect("it runs").child.id()
    }

    /// Ends the server without a word (`kill -9`) and gives its log.
    pub fn kill(&mut self) -> String {
        let mut server = self.server.take().expect("it runs");
        server.child.kill().expect("it is ours");
        server.child.wait().expect("it ends");
        server.log.join().expect("the log is read")
    }

    /// Asks the server to stop (SIGTERM), waits for it, and gives its log.
    pub fn stop(&mut self) -> String {
        let mut server = self.server.take().expect("it runs");
        let pid = server.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let (said, heard) = mpsc::channel();
        std::thread::spawn(move || said.send(server.child.wait()));
        if heard.recv_timeout(STOP_WITHIN).is_err() {
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
            panic!("the server did not stop on SIGTERM");
        }
        server.log.join().expect("the log is read")
    }

    /// Runs `hushbox ARGS --config ...` and gives what it printed.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Output {
        let mut command = Command::new(program("hushbox"));
        command.args(args).arg("--config").arg(self.config()).stdin(Stdio::null());
        command.output().expect("the command runs")
    }

    /// Runs a listing with `--json` and parses its array.
    #[must_use]
    pub fn list(&self, args: &[&str]) -> Vec<Value> {
        let mut all = args.to_vec();
        all.push("--json");
        let output = self.command(&all);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one JSON array")
    }

    /// What names a person of the staff to a command, with the PIN in a file: `--as NUMBER --pin-file F`.
    ///
    /// # Panics
    ///
    /// When trial.json has nobody of this number.
    #[must_use]
    pub fn by(&self, number: &str) -> [String; 4] {
        let json = self.json();
        let accounts = json["accounts"].as_array().into_iter().flatten();
        let mut staff = accounts.flat_map(|a| a["staff"].as_array().into_iter().flatten());
        let person = staff.find(|s| s["number"] == number).expect("somebody of this number");
        let file = self.dir().join(format!("pin-of-{number}"));
        std::fs::write(&file, person["pin"].as_str().expect("a PIN")).expect("written");
        let file = file.to_str().expect("a path").to_owned();
        ["--as".to_owned(), number.to_owned(), "--pin-file".to_owned(), file]
    }

    /// Every file under `folder`, as (path, bytes): what the leak test searches.
    #[must_use]
    pub fn files_under(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut open = vec![folder.to_path_buf()];
        while let Some(next) = open.pop() {
            for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
                let kind = entry.file_type().expect("a kind");
                if kind.is_dir() {
                    open.push(entry.path());
                } else if kind.is_file() {
                    found.push((entry.path(), std::fs::read(entry.path()).unwrap_or_default()));
                }
            }
        }
        found
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.child.kill();
            let _ = server.child.wait();
        }
    }
}
