//! baresip without a head: its files in a folder of its own, driven over its control socket.
//!
//! As a caller baresip 1.0 offers AES_CM_128_HMAC_SHA1_80 alone; it presents one certificate a process; it never
//! verifies the server, so it is no oracle for ours.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hushbox_load::measure;
use hushbox_load::voice::write_wav;
use serde_json::{Value, json};

/// Where Debian puts its modules.
const MODULES: [&str; 2] = ["/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules"];

/// Who calls, and where to.
#[derive(Clone, Copy)]
pub struct Telephone<'a> {
    /// `user@domain`.
    pub address: &'a str,
    /// The client certificate and its key, PEM.
    pub certificate: (&'a Path, &'a Path),
    /// The password, where it registers (to a PBX) and subscribes to its messages.
    pub password: Option<&'a str>,
    /// The server.
    pub server: SocketAddr,
    /// What its microphone hears, from the start of the call.
    pub microphone: &'a [i16],
}

/// A running baresip.
pub struct Baresip {
    folder: tempfile::TempDir,
    child: Child,
    control: TcpStream,
    events: mpsc::Receiver<Value>,
}

/// The folder of baresip's modules, if it is installed.
pub fn modules() -> Option<PathBuf> {
    let silent =
        |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    silent(Command::new("baresip").arg("-h")).ok()?;
    MODULES.iter().map(PathBuf::from).find(|folder| folder.join("srtp.so").exists())
}

impl Baresip {
    /// Starts one; it is ready when its control socket answers.
    pub fn start(modules: &Path, telephone: &Telephone<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (sip_port, control_port) = free_ports();
        write_files(folder.path(), modules, telephone, sip_port, control_port);
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let child = Command::new("baresip")
            .args(["-4", "-s", "-f"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("the log again"))
            .stdout(log)
            .spawn()
            .expect("baresip starts");
        let mut child = KillOnDrop(Some(child));
        let control = connect((Ipv4Addr::LOCALHOST, control_port).into());
        let reader = control.try_clone().expect("two halves");
        let (sender, events) = mpsc::channel();
        std::thread::spawn(move || read_events(reader, &sender));
        let child = child.0.take().expect("it runs");
        Self { folder, child, control, events }
    }

    /// Calls a URI and waits until the call stands; gives the name of its SRTP suite's event, if one came.
    pub fn dial(&mut self, uri: &str) -> Vec<Value> {
        self.command("dial", uri);
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self
                .events
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no call: {}", self.log()));
            let kind = event["type"].as_str().unwrap_or_default().to_owned();
            seen.push(event);
            match kind.as_str() {
                "CALL_ESTABLISHED" => return seen,
                "CALL_CLOSED" => panic!("the call was refused: {:?} {}", seen.last(), self.log()),
                _ => {}
            }
        }
    }

    /// Waits until it has written this in its log: of what it does at once nobody may have heard an event.
    pub fn wait_logged(&mut self, text: &str, within: Duration) {
        let deadline = Instant::now() + within;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "no {text}: {}", self.log());
            self.events_for(Duration::from_millis(100));
        }
    }

    /// Waits for an event of this kind that satisfies this, and gives it.
    pub fn wait_event(
        &mut self,
        kind: &str,
        within: Duration,
        mut is_it: impl FnMut(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + within;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            match self.events.recv_timeout(left) {
                Ok(event) if event["type"] == kind && is_it(&event) => return event,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        panic!("no {kind}: {}", self.log());
    }

    /// Presses keys, as slowly as a person.
    pub fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            self.command("sndcode", &key.to_string());
            self.events_for(Duration::from_millis(250));
        }
    }

    /// Hangs up and waits until the call is over.
    pub fn hang_up(&mut self) {
        self.command("hangup", "");
        self.wait_closed(Duration::from_secs(10));
    }

    /// Waits until the call is over.
    pub fn wait_closed(&mut self, within: Duration) {
        let deadline = Instant::now() + within;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            match self.events.recv_timeout(left) {
                Ok(event) if event["type"] == "CALL_CLOSED" => return,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        panic!("the call did not end: {}", self.log());
    }

    /// What it has heard so far, from the start of the call (its decoded dump).
    pub fn heard(&self) -> Vec<i16> {
        let files = std::fs::read_dir(self.folder.path()).expect("its folder");
        let dump = files.flatten().map(|f| f.path()).find(|p| {
            let name = p.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("dump-") && name.ends_with("-dec.wav")
        });
        let bytes = dump.map(|p| std::fs::read(p).expect("the dump")).unwrap_or_default();
        // The header is 44 octets; its lengths are only right when the call is over.
        let samples = bytes.get(44..).unwrap_or_default();
        samples.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
    }

    /// Waits until this has become true of what was heard; looks ten times a second.
    pub fn wait_heard(
        &mut self,
        what: &str,
        within: Duration,
        mut is_so: impl FnMut(&[i16]) -> bool,
    ) {
        let deadline = Instant::now() + within;
        loop {
            if is_so(&self.heard()) {
                return;
            }
            assert!(Instant::now() < deadline, "not heard in time: {what}; {}", self.log());
            self.events_for(Duration::from_millis(100));
        }
    }

    /// Waits until a beep has ended; gives where, in what was heard.
    pub fn wait_beep(&mut self, within: Duration) -> usize {
        let mut end = None;
        self.wait_heard("a beep", within, |heard| {
            end = measure::tones(heard).first().map(|tone| tone.range.end);
            end.is_some()
        });
        end.expect("a beep")
    }

    /// Lets its microphone run for a while.
    pub fn talk(&mut self, length: Duration) {
        self.events_for(length);
    }

    /// Lets events pass for a while; the call must stand.
    fn events_for(&mut self, length: Duration) {
        let deadline = Instant::now() + length;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            if let Ok(event) = self.events.recv_timeout(left) {
                assert_ne!(event["type"], "CALL_CLOSED", "the call ended: {}", self.log());
            }
        }
    }

    fn command(&mut self, name: &str, parameters: &str) {
        let text = json!({"command": name, "params": parameters, "token": "t"}).to_string();
        // A netstring.
        let sent = self.control.write_all(format!("{}:{text},", text.len()).as_bytes());
        sent.expect("baresip listens");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct KillOnDrop(Option<Child>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn write_files(
    folder: &Path,
    modules: &Path,
    telephone: &Telephone<'_>,
    sip_port: u16,
    control_port: u16,
) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("written");
    // The key first, then the leaf, in one file.
    let (certificate, key) = telephone.certificate;
    let read = |path: &Path| std::fs::read_to_string(path).expect("PEM");
    write("identity.pem", &(read(key) + &read(certificate)));
    write_wav(&folder.join("microphone.wav"), telephone.microphone).expect("a microphone");
    let folder = folder.display();
    let modules = modules.display();
    write(
        "config",
        &format!(
            "sip_listen 127.0.0.1:{sip_port}\nsip_certificate {folder}/identity.pem\n\
             net_interface 127.0.0.1\naudio_source aufile,{folder}/microphone.wav\n\
             audio_player alsa,null\naudio_alert alsa,null\nausrc_srate 8000\nauplay_srate 8000\n\
             ausrc_channels 1\nauplay_channels 1\nsnd_path {folder}\nmodule_path {modules}\n\
             module g711.so\nmodule aufile.so\nmodule alsa.so\nmodule sndfile.so\nmodule srtp.so\n\
             module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
             module_app mwi.so\nctrl_tcp_listen 127.0.0.1:{control_port}\n"
        ),
    );
    let Telephone { address, server, password, .. } = telephone;
    let user = address.split('@').next().unwrap_or_default();
    // Its module mwi subscribes as soon as it is registered.
    let registration = match password {
        Some(password) => format!("regint=600;auth_user={user};auth_pass={password};mwi=yes"),
        None => "regint=0;mwi=no".to_owned(),
    };
    write(
        "accounts",
        &format!(
            "<sip:{address};transport=tls>;outbound=\"sip:{server};transport=tls\";{registration};\
             mediaenc=srtp-mand;audio_codecs=PCMU/8000/1\n"
        ),
    );
}

/// A port for SIP whose next one (its TLS) is free as well, and one for the control socket.
fn free_ports() -> (u16, u16) {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let port_of = |l: &TcpListener| l.local_addr().expect("an address").port();
    for _ in 0..100 {
        let (sip, control) = (bind(0).expect("a port"), bind(0).expect("a port"));
        let (sip_port, control_port) = (port_of(&sip), port_of(&control));
        if sip_port < u16::MAX && sip_port + 1 != control_port && bind(sip_port + 1).is_ok() {
            return (sip_port, control_port);
        }
    }
    panic!("no free ports");
}

fn connect(address: SocketAddr) -> TcpStream {
    let deadline = Instant::now() + Duration::from_secs(20);
    let (_keep, pause) = mpsc::channel::<()>();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return stream,
            Err(e) if Instant::now() > deadline => panic!("baresip's control socket: {e}"),
            Err(_) => {
                let _ = pause.recv_timeout(Duration::from_millis(50));
            }
        }
    }
}

/// Reads netstrings of JSON until the socket closes.
fn read_events(mut stream: TcpStream, events: &mpsc::Sender<Value>) {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        text.extend_from_slice(&buffer[..length]);
        while let Some(colon) = text.iter().position(|b| *b == b':') {
            let length =
                std::str::from_utf8(&text[..colon]).ok().and_then(|n| n.parse::<usize>().ok());
            let Some(end) = length.map(|n| colon + 1 + n) else { return };
            if text.len() <= end {
                break;
            }
            if let Ok(event) = serde_json::from_slice::<Value>(&text[colon + 1..end])
                && event["event"] == true
                && events.send(event).is_err()
            {
                return;
            }
            text.drain(..=end);
        }
    }
}
