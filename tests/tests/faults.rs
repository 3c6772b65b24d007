//! What goes wrong in the field, against the real server: each gets a clear answer, and nothing is lost.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use hushbox_load::client::Plan;
use hushbox_load::measure;
use hushbox_load::scenario::{self, Outcome};
use hushbox_load::script::{Keys, Step};
use hushbox_load::sdp::Security;
use hushbox_load::transport::Transport;
use hushbox_tests::calls::{
    delivered, forwarded, leave, leave_at_once, listen, owner, run, speech,
};
use hushbox_tests::trial::{Trial, program, warn_not_tested};

const LAB: [&str; 4] = ["--lab-udp", "127.0.0.1:0", "--lab-tcp", "127.0.0.1:0"];

fn place(plan: &Plan, script: &[Step]) -> Outcome {
    run(scenario::call(plan, script)).expect("the call goes its way")
}

fn status(plan: &Plan) -> u16 {
    place(plan, &[Step::HangUp]).refusal.map_or(200, |r| r.status)
}

/// Leaves a message in 1002, and its owner hears it: the server works.
fn still_works(trial: &Trial, seed: u8) {
    still_works_for(trial, "1002", seed);
}

/// The same with this mailbox.
fn still_works_for(trial: &Trial, mailbox: &str, seed: u8) {
    let sound = speech(seed, Duration::from_secs(2));
    assert!(place(&forwarded(trial, mailbox), &leave(&sound)).is_ok(), "a message can be left");
    let (plan, pin) = owner(trial, mailbox);
    let heard = place(&plan, &listen(&pin, &sound));
    assert!(heard.is_ok(), "and heard: {:?}", heard.steps);
}

#[test]
fn refusals_name_what_is_wrong_and_leave_nothing_behind() {
    let trial = Trial::start(&LAB);

    let mut unknown = forwarded(&trial, "1001");
    unknown.uri = unknown.uri.replace("1001", "4711");
    assert_eq!(status(&unknown), 404, "a trunk learns that a number is not there");

    let mut plain = forwarded(&trial, "1001");
    plain.security = Security::Plain;
    let refusal = place(&plain, &[Step::HangUp]).refusal.expect("refused");
    assert_eq!(refusal.status, 488, "no call without SRTP on TLS");
    assert!(refusal.warning.is_some(), "and the Warning says why");

    let mut stranger = forwarded(&trial, "1001");
    stranger.identity.certificate = None;
    assert_eq!(status(&stranger), 401, "a stranger is challenged");
    stranger.uri = stranger.uri.replace("1001", "4711");
    assert_eq!(status(&stranger), 401, "whatever the number");

    let (mut foreign, _) = owner(&trial, "1001");
    foreign.uri = forwarded(&trial, "2001").uri;
    assert_eq!(status(&foreign), 403, "a device leaves messages in its own account only");

    let mut lab =
        Plan::new(Transport::Udp, trial.address("lab_udp"), forwarded(&trial, "1001").uri);
    assert_eq!(status(&lab), 404, "accounts of the profile hipaa do not exist on a lab listener");
    lab.uri = forwarded(&trial, "2001").uri;
    assert_eq!(status(&lab), 200, "those of the profile standard do");

    assert!(trial.list(&["message", "list"]).is_empty(), "and nothing was recorded");
}

#[test]
fn three_wrong_pins_end_the_call_and_the_right_one_still_opens() {
    let trial = Trial::start(&[]);
    let (plan, pin) = owner(&trial, "1001");
    let wrong: String = pin.chars().map(|c| if c == '1' { '2' } else { '1' }).collect();
    let wrong = format!("{wrong}#");
    let quiet = Step::Quiet { quiet: Duration::from_millis(800), within: Duration::from_secs(20) };
    let press = Step::Press(Keys::new(&wrong).expect("keys"));
    let script = [
        quiet.clone(),
        press.clone(),
        quiet.clone(),
        press.clone(),
        quiet,
        press,
        Step::Bye { within: Duration::from_secs(20) },
    ];
    let outcome = place(&plan, &script);
    assert!(outcome.is_ok(), "{:?}", outcome.steps);
    still_works_for(&trial, "1001", 1);
    let verified = trial.command(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// Rows of random octets, each seven longer than the one before.
fn noise(rows: usize) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_u32;
    let mut octet = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..rows).map(|n| (0..n * 7).map(|_| octet()).collect()).collect()
}

/// The first of four ports, all free a moment ago: a call has a pair while the one before gives its own back.
fn free_ports() -> u16 {
    let is_free = |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let mut places = (20_000..30_000).step_by(4);
    places.find(|first| (*first..first + 4).all(is_free)).expect("four free ports")
}

#[test]
fn garbage_on_the_media_ports_is_not_heard() {
    let first = free_ports();
    let range = format!("{first}-{}", first + 3);
    let trial = Trial::start(&["--rtp-ports", &range]);
    let sound = speech(8, Duration::from_secs(3));
    let plan = forwarded(&trial, "1001");
    let left = run(async {
        let script = leave_at_once(&sound);
        let spray = async {
            let socket =
                tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
            // What looks like RTP as well: version 2, the payload type of mu-law.
            let packet = |n: u8| [[0x80, 0, 0, n].as_slice(), &[n; 168]].concat();
            let junk: Vec<Vec<u8>> = noise(100).into_iter().chain((0..=255).map(packet)).collect();
            let mut tick = tokio::time::interval(Duration::from_millis(2));
            for bytes in junk.iter().cycle() {
                tick.tick().await;
                for port in first..first + 4 {
                    // Until the call is there, nobody listens on them.
                    let _ = socket.send_to(bytes, (Ipv4Addr::LOCALHOST, port)).await;
                }
            }
        };
        tokio::select! {
            left = scenario::call(&plan, &script) => left.expect("a message is left"),
            () = spray => unreachable!("it sprays for ever"),
        }
    });
    assert!(left.is_ok(), "{:?}", left.steps);
    let (plan, pin) = owner(&trial, "1001");
    let heard = place(&plan, &listen(&pin, &sound));
    assert!(heard.is_ok(), "{:?}", heard.steps);
    let same = measure::compare(&sound, heard.heard_during("find")).expect("heard");
    assert!(same.is_same(), "{same:?}");
}

/// One after the other: above the limit of connections from one address nothing would be read.
fn send_and_see_it_closed(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a bound");
    // The server may well hang up in the middle.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    if let Err(error) = stream.read_to_end(&mut Vec::new()) {
        assert_ne!(error.kind(), ErrorKind::WouldBlock, "it is not closed");
    }
}

#[test]
fn garbage_on_the_signalling_ports_changes_nothing() {
    let mut trial = Trial::start(&LAB);
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let mut junk = noise(200);
    junk.push(vec![0; 60_000]);
    junk.push(
        b"INVITE sip:1001@clinic.example SIP/2.0\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
    );
    junk.push(b"\r\n\r\n\r\n\r\n".to_vec());
    for bytes in &junk {
        udp.send_to(bytes, trial.address("lab_udp")).expect("sent");
        for listener in ["lab_tcp", "tls"] {
            send_and_see_it_closed(trial.address(listener), bytes);
        }
    }
    let mut stream = TcpStream::connect(trial.address("lab_tcp")).expect("it listens");
    stream.write_all(b"\r\n\r\n").expect("a ping");
    let mut pong = [0; 2];
    stream.read_exact(&mut pong).expect("an answer");
    assert_eq!(&pong, b"\r\n", "RFC 5626 section 3.5.1");
    still_works(&trial, 3);
    let log = trial.stop();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let trial = Trial::start(&[]);
    let second = trial.command(&["serve"]);
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another Hushbox server"), "{said}");
    still_works(&trial, 4);
}

#[test]
fn every_bad_line_of_a_configuration_is_named_with_its_key() {
    let trial = Trial::create(&[]);
    let good = std::fs::read_to_string(trial.config()).expect("the configuration");
    let bad = format!("nonsense_key = 1\n{good}\n[limits]\ncalls = \"many\"\n");
    let path = trial.dir().join("bad.toml");
    std::fs::write(&path, bad).expect("written");
    let checked =
        Command::new(program("hushbox")).arg("check-config").arg(&path).output().expect("it runs");
    assert!(!checked.status.success());
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(said.contains("nonsense_key") && said.contains("line 1"), "{said}");
    let served = Command::new(program("hushbox"))
        .args(["serve", "--config"])
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert!(!served.status.success(), "a server does not start on it");
}

#[test]
fn without_its_root_key_a_server_records_only() {
    let mut trial = Trial::start(&[]);
    let sound = speech(5, Duration::from_secs(2));
    let kept = trial.dir().join("root.key.kept");
    let root = trial.dir().join("keys/root.key");
    trial.stop();
    std::fs::rename(&root, &kept).expect("moved");
    trial.serve();
    assert!(trial.ready().ends_with("record-only"), "{}", trial.ready());
    assert!(place(&forwarded(&trial, "1001"), &leave(&sound)).is_ok(), "messages are taken");
    let (plan, pin) = owner(&trial, "1001");
    let told = place(&plan, &[Step::Bye { within: Duration::from_secs(20) }]);
    assert!(told.is_ok(), "the owner is told, and not asked for a PIN: {:?}", told.steps);
    trial.stop();

    // Another server's key is as none: what was sealed under the first is not touched.
    let other = Trial::create(&[]);
    std::fs::copy(other.dir().join("keys/root.key"), &root).expect("copied");
    trial.serve();
    assert!(trial.ready().ends_with("record-only"), "{}", trial.ready());
    let told = place(&plan, &[Step::Bye { within: Duration::from_secs(20) }]);
    assert!(told.is_ok(), "with a wrong key as without one: {:?}", told.steps);
    trial.stop();

    std::fs::rename(&kept, &root).expect("moved back");
    trial.serve();
    let heard = place(&plan, &listen(&pin, &sound));
    assert!(heard.is_ok(), "with its own key everything is as it was: {:?}", heard.steps);
}

/// A small file system of its own, gone at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed: said aloud, since nothing is shown then.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|s| s.success()) {
            return Some(Self(folder));
        }
        warn_not_tested("mounting is not allowed here, for a full disk");
        None
    }

    /// Writes until nothing more fits but `spare` octets.
    fn fill(&self, spare: u64) -> std::path::PathBuf {
        let number = std::fs::read_dir(self.0.path()).map_or(0, Iterator::count);
        let path = self.0.path().join(format!("filler-{number}"));
        let mut file = std::fs::File::create(&path).expect("a file");
        let block = vec![0xA5; 65_536];
        let mut written = 0u64;
        while file.write_all(&block).is_ok() {
            written += block.len() as u64;
        }
        file.set_len(written.saturating_sub(spare)).expect("shortened");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_data_disk_refuses_new_messages_and_keeps_the_old_ones() {
    let Some(disk) = SmallDisk::mount("160m") else { return };
    let mut trial = Trial::create(&[]);
    trial.move_data_to(&disk.0.path().join("data"));
    trial.serve();
    let sound = speech(6, Duration::from_secs(2));
    assert!(place(&forwarded(&trial, "1001"), &leave(&sound)).is_ok());

    // Nothing is on its way that would still take or give back room.
    let _rows = delivered(&trial, "1001", 1);
    let mut refilled = vec![disk.fill(0)];
    // Each from another number: one that calls too often hears so, whatever room there is.
    let mut number = 5_550_000;
    let mut answer = || {
        number += 1;
        let plan = Plan { from: number.to_string(), ..forwarded(&trial, "1001") };
        place(&plan, &[Step::HangUp]).refusal
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let refusal = loop {
        if let Some(refusal) = answer() {
            break refusal;
        }
        assert!(std::time::Instant::now() < deadline, "a full disk is noticed within seconds");
        // What the server has given back meanwhile.
        refilled.push(disk.fill(0));
    };
    assert_eq!(refusal.status, 503);
    assert!(refusal.retry_after.is_some(), "it says when to come again");

    let (plan, pin) = owner(&trial, "1001");
    let heard = place(&plan, &listen(&pin, &sound));
    assert!(heard.is_ok(), "what is there can be heard: {:?}", heard.steps);

    for filler in refilled {
        std::fs::remove_file(filler).expect("removed");
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while let Some(refusal) = answer() {
        assert_eq!(refusal.status, 503);
        assert!(std::time::Instant::now() < deadline, "room is noticed within seconds");
    }
    still_works(&trial, 7);
}

#[test]
fn a_full_audit_disk_lets_owners_listen_and_keeps_messages_until_there_is_room() {
    let Some(disk) = SmallDisk::mount("24m") else { return };
    let mut trial = Trial::create(&[]);
    trial.configure("paths", &format!("audit = {:?}", disk.0.path().join("audit")));
    trial.move_audit_to(&disk.0.path().join("audit"));
    trial.serve();
    let sound = speech(10, Duration::from_secs(2));
    assert!(place(&forwarded(&trial, "1001"), &leave_at_once(&sound)).is_ok());

    let filler = disk.fill(0);
    // Log-ins and listening go on, on what is set aside for them.
    let (plan, pin) = owner(&trial, "1001");
    let heard = place(&plan, &listen(&pin, &sound));
    assert!(heard.is_ok(), "{:?}", heard.steps);
    // A message is taken and kept, and appears once its record is written: at the latest when there is room again.
    // Whether it waits depends on how far the log had grown ahead of itself, up to 1 MiB; that deliveries are refused
    // in the reserve is tested where the audit task is.
    let second = speech(11, Duration::from_secs(2));
    assert!(place(&forwarded(&trial, "1001"), &leave_at_once(&second)).is_ok());
    std::fs::remove_file(filler).expect("removed");
    let deadline = std::time::Instant::now() + Duration::from_secs(45);
    while trial.list(&["message", "list"]).len() < 2 {
        assert!(std::time::Instant::now() < deadline, "it appears when there is room again");
    }
    let heard = place(&plan, &listen(&pin, &second));
    assert!(heard.is_ok(), "{:?}", heard.steps);
    let verified = trial.command(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// RFC 3261 section 18.3: what a stream brings is answered or the connection is closed, never left in the dark.
#[test]
fn a_request_that_cannot_be_framed_closes_its_connection() {
    let trial = Trial::start(&LAB);
    let address: SocketAddr = trial.address("lab_tcp");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a bound");
    stream.write_all(b"OPTIONS sip:x@y SIP/2.0\r\nContent-Length: -1\r\n\r\n").expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it is closed");
}
