//! The hushbox.toml of a trial.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::config::RtpPorts;
use crate::trial::Sip;

/// Its text: what differs from the defaults, and where to read on.
pub(super) fn text(sip: &Sip, ops: Option<SocketAddr>, ports: RtpPorts) -> String {
    let mut text = String::from(
        "# Hushbox, made by `hushbox quickstart`. Every key, its default and its effect: config/hushbox.toml in the\n\
         # source. Check changes with `hushbox check-config`. Relative paths start at this file's folder.\n\n[listen]\n",
    );
    let listeners = [("tls", sip.tls), ("lab_udp", sip.lab_udp), ("lab_tcp", sip.lab_tcp)];
    for (name, address) in listeners {
        if let Some(address) = address {
            let _infallible = writeln!(text, "{name} = \"{address}\"");
        }
    }
    let lab = [sip.lab_udp, sip.lab_tcp];
    if lab.iter().flatten().any(|address| !address.ip().is_loopback()) {
        text.push_str("# Insisted on by whoever ran quickstart: what passes here is not encrypted.\nlab_beyond_loopback = true\n");
    }
    text.push_str("\n[tls]\ncertificate = \"tls/server.crt\"\nkey = \"tls/server.key\"\nclient_cas = [\"tls/ca.crt\"]\n");
    text.push_str("\n[paths]\ndata = \"data\"\n# A real installation keeps its keys on another volume than its data.\nkeys = \"keys\"\n");
    let _infallible = writeln!(text, "\n[media]\nrtp_ports = \"{ports}\"");
    if let Some(address) = ops {
        let _infallible = writeln!(
            text,
            "\n[ops]\n# /metrics, /health/live and /health/ready.\nlisten = \"{address}\""
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    #[test]
    fn what_quickstart_writes_is_what_the_server_reads() {
        let sip = Sip {
            tls: Some("0.0.0.0:5061".parse().expect("an address")),
            lab_udp: Some("127.0.0.1:5070".parse().expect("an address")),
            lab_tcp: Some("192.0.2.9:5070".parse().expect("an address")),
        };
        let ports = RtpPorts { from: 30_000, to: 30_099 };
        let ops = "127.0.0.1:9464".parse().ok();
        let text = text(&sip, ops, ports);
        let config = config::parse(&text, Path::new("/d/hushbox.toml")).expect("valid");
        assert_eq!(config.ops, ops);
        assert_eq!(
            (config.tls, config.lab_udp, config.lab_tcp),
            (sip.tls, sip.lab_udp, sip.lab_tcp)
        );
        assert_eq!(config.rtp_ports, ports);
        assert_eq!(config.key, Path::new("/d/tls/server.key"));
    }
}
