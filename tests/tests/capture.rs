//! What somebody on the wire sees of a call over TLS and SRTP: no audio, no key, no digit, no number.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use hushbox_load::g711::Codec;
use hushbox_load::scenario;
use hushbox_tests::calls::{forwarded, leave, listen, owner, run, speech};
use hushbox_tests::trial::{Trial, warn_not_tested};

/// A caller's number that stands nowhere else.
const CALLER: &str = "15550199283";

/// Octets before the UDP payload on loopback: Ethernet, IPv4 without options, UDP.
const HEADERS: usize = 14 + 20 + 8;

/// A capture of the loopback interface by tcpdump, ended and read by [`Capture::end`].
struct Capture {
    tcpdump: std::process::Child,
    file: tempfile::NamedTempFile,
}

impl Capture {
    /// `None` where capturing is not allowed: said aloud, since nothing is shown then.
    fn start() -> Option<Self> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let tcpdump = Command::new("tcpdump")
            .args(["-i", "lo", "-U", "--immediate-mode", "-s", "0", "-Z", "root", "-w"])
            .arg(file.path())
            .arg("udp or tcp")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut tcpdump) = tcpdump else {
            warn_not_tested("no tcpdump here, for a capture");
            return None;
        };
        let mut stderr = tcpdump.stderr.take().expect("piped");
        let mut said = String::new();
        let mut octet = [0; 1];
        while !said.contains("listening on") {
            if !matches!(stderr.read(&mut octet), Ok(1)) {
                warn_not_tested(&format!("capturing is not allowed here ({said})"));
                return None;
            }
            said.push(char::from(octet[0]));
        }
        // tcpdump must go on being read, or it would stand still on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Some(Self { tcpdump, file })
    }

    fn end(mut self) -> Vec<Vec<u8>> {
        let _ = Command::new("kill").args(["-INT", &self.tcpdump.id().to_string()]).status();
        self.tcpdump.wait().expect("it ends");
        packets(&std::fs::read(self.file.path()).expect("the capture"))
    }
}

/// The packets of a pcap file in this machine's byte order.
fn packets(pcap: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = pcap.get(24..).unwrap_or_default();
    while let Some((header, after)) = rest.split_at_checked(16) {
        let length = u32::from_ne_bytes(header[8..12].try_into().expect("four octets")) as usize;
        let Some((packet, after)) = after.split_at_checked(length) else { break };
        found.push(packet.to_vec());
        rest = after;
    }
    found
}

#[test]
fn a_capture_of_a_call_holds_no_audio_no_key_and_no_digit() {
    let trial = Trial::start(&[]);
    let Some(capture) = Capture::start() else { return };
    let sound = speech(9, Duration::from_secs(3));
    let mut deposit = forwarded(&trial, "1001");
    deposit.from = CALLER.into();
    let (plan, pin) = owner(&trial, "1001");
    let (left, heard) = run(async {
        let left = scenario::call(&deposit, &leave(&sound)).await.expect("a message is left");
        (left, scenario::call(&plan, &listen(&pin, &sound)).await.expect("and heard"))
    });
    assert!(left.is_ok() && heard.is_ok(), "{:?} {:?}", left.steps, heard.steps);
    let packets = capture.end();

    let ports = |packet: &[u8]| {
        Some((
            u16::from_be_bytes([*packet.get(34)?, *packet.get(35)?]),
            u16::from_be_bytes([*packet.get(36)?, *packet.get(37)?]),
        ))
    };
    let sip = trial.address("tls").port();
    let of_sip = packets
        .iter()
        .filter(|p| ports(p).is_some_and(|(from, to)| from == sip || to == sip))
        .count();
    let rtp: Vec<&[u8]> = packets
        .iter()
        .filter(|p| p.get(23) == Some(&17) && p.get(HEADERS).is_some_and(|b| b >> 6 == 2))
        .map(|p| &p[HEADERS..])
        .collect();
    assert!(of_sip > 20 && rtp.len() > 300, "the capture holds the calls: {of_sip}, {}", rtp.len());

    // Audio: no 20 octets of what was said in either law, at any phase.
    let mut spoken = std::collections::BTreeSet::new();
    for codec in [Codec::Pcmu, Codec::Pcma] {
        spoken.extend(codec.encode(&sound).windows(20).map(<[u8]>::to_vec));
    }
    for packet in &rtp {
        assert!(!packet.windows(20).any(|w| spoken.contains(w)), "audio in clear");
    }
    // Digits (RFC 4733 section 2.3: the event is the payload's first octet; a key press is four octets).
    let digit = |c: char| c.to_digit(10).map_or(11, |d| d) as u8;
    let keys: Vec<u8> = pin.chars().map(digit).collect();
    let events: Vec<&&[u8]> = rtp.iter().filter(|p| (96..=127).contains(&(p[1] & 0x7f))).collect();
    assert!(events.len() >= keys.len() * 3, "the keys are in the capture: {}", events.len());
    let plain = events.iter().filter(|p| p.len() == 16).count();
    assert_eq!(plain, 0, "a key press without an SRTP tag");
    let guessed =
        events.iter().filter(|p| p.get(12).is_some_and(|e| *e < 16 && keys.contains(e))).count();
    assert!(
        guessed * 2 < events.len(),
        "{guessed} of {} events read as keys of the PIN",
        events.len()
    );
    // Text.
    for (what, needle) in
        [("a key", "inline:"), ("the caller's number", CALLER), ("the PIN", pin.as_str())]
    {
        let needle = needle.as_bytes();
        let hit = packets.iter().any(|p| p.windows(needle.len()).any(|w| w == needle));
        assert!(!hit, "{what} in clear");
    }
}
