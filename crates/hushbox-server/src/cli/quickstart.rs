//! `hushbox quickstart`

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::args::Quickstart;
use super::serve;
use super::{Failure, guide};
use crate::config::{self, RtpPorts};
use crate::sockets::{self, Sockets, Wanted};
use crate::trial::Trial;
use crate::trial_folder::NewTrial;

pub(super) fn run(args: Quickstart) -> Result<(), Failure> {
    if let Some(ops) = args.ops.filter(|ops| !ops.ip().is_loopback()) {
        return Err(format!("--ops {ops}: a trial's metrics stay on loopback").into());
    }
    if args.dir.symlink_metadata().is_ok() { existing(&args) } else { new(&args) }
}

/// Makes the folder and serves it.
fn new(args: &Quickstart) -> Result<(), Failure> {
    let tls = args.sip_tls.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 5061)));
    let ops = args.ops.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    let wanted =
        Wanted { tls: Some(tls), lab_udp: args.lab_udp, lab_tcp: args.lab_tcp, ops: Some(ops) };
    let sockets = Sockets::bind(&wanted)?;
    let trial = NewTrial {
        dir: args.dir.clone(),
        sip: sockets.addresses(),
        ops: sockets.ops_address(),
        own_address: sockets::reachable(tls.ip()),
        rtp_ports: args.rtp_ports.unwrap_or(RtpPorts { from: 16_000, to: 19_999 }),
        now: jiff::Timestamp::now(),
    };
    trial.create()?;
    note(&format!("made {}", args.dir.display()));
    note(&format!(
        "keep {} safe, and apart from the data: whoever loses it loses every message",
        args.dir.join("keys/root.key").display()
    ));
    if args.no_serve {
        return Ok(());
    }
    let config = config::load(&args.dir.join("hushbox.toml"))?;
    let trial = Trial::read(&config.trial_file())?;
    note(&guide::text(&config, &trial));
    let lock = serve::lock(&config)?;
    serve::with_sockets(config, lock, sockets)
}

/// Serves a folder that is there. Nothing in it is overwritten but the addresses in trial.json.
fn existing(args: &Quickstart) -> Result<(), Failure> {
    let file = args.dir.join("hushbox.toml");
    let trial_file = args.dir.join("trial.json");
    if !trial_file.exists() {
        return Err(format!(
            "{} exists and holds no trial (no trial.json): nothing was changed; choose another --dir, or use `hushbox serve`",
            args.dir.display()
        )
        .into());
    }
    let mut config = config::load(&file)?;
    if args.no_serve {
        note(&format!("{} exists already: nothing was changed", args.dir.display()));
        return Ok(());
    }
    let lock = serve::lock(&config)?;
    config.tls = args.sip_tls.or(config.tls);
    config.lab_udp = args.lab_udp.or(config.lab_udp);
    config.lab_tcp = args.lab_tcp.or(config.lab_tcp);
    config.ops = args.ops.or(config.ops);
    // The file was checked before these took the place of what it says.
    config.check_lab()?;
    config.rtp_ports = args.rtp_ports.unwrap_or(config.rtp_ports);
    if let Some(ip) = args.sip_tls.map(|address| address.ip()) {
        // Media follows the address that was given for this run.
        config.rtp_address = ip;
    }
    if let Some(address) = config.tls {
        warn_unless_named(&config.certificate, address.ip());
    }
    let sockets = Sockets::bind(&serve::wanted(&config))?;
    serve::with_sockets(config, lock, sockets)
}

fn warn_unless_named(certificate: &Path, bound: IpAddr) {
    let ip = sockets::reachable(bound);
    let named = crate::tls::certificates(certificate)
        .ok()
        .and_then(|chain| chain.first().map(|own| crate::identity::names_address(own, ip)));
    if named == Some(false) {
        note(&format!(
            "warning: {} does not name {ip}; callers that check it will not connect",
            certificate.display()
        ));
    }
}

#[expect(clippy::print_stderr, reason = "standard output is for `ready`")]
fn note(text: &str) {
    eprintln!("{text}");
}
