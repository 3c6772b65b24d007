//! `hushbox-load calls`: its arguments.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::crowd::Plan;
use crate::error::Error;
use crate::script;
use crate::sdp::Security;
use crate::srtp::Suite;
use crate::transport::{Identity, Transport};
use crate::trial::{KeyPair, Trial};

/// Place many calls at once, and measure what the server makes of them
///
/// Each call is placed, acknowledged, spoken into for --stay and ended by BYE; every call comes from another
/// number. Without --stay the BYE follows the ACK at once. With --server-pid (on this machine) the processor
/// time and memory of the server are measured too. Digest and proxies on the way are not for this command.
///
/// Example: hushbox-load calls --trial DIR/trial.json --transport tls --calls 1000 --at-once 16
///
/// Exit code 0: every call went its whole way; 1: some did not; 2: could not be tried.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct CallsArguments {
    /// The Request-URI; default: a mailbox of the trial
    #[arg(value_name = "URI", required_unless_present = "trial")]
    uri: Option<String>,
    /// The trial.json that `hushbox quickstart` wrote: says server, certificates and mailbox
    #[arg(long, value_name = "FILE")]
    trial: Option<PathBuf>,
    /// The server's address; default: the trial's listener
    #[arg(long, value_name = "IP:PORT", required_unless_present = "trial")]
    server: Option<SocketAddr>,
    /// How to reach it
    #[arg(long, value_enum, default_value = "tls")]
    transport: Transport,
    /// The CA of the server's certificate (PEM); default: the trial's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name in the server's certificate; default: the address
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// A client certificate (PEM); default: the trial's trunk
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Calls in all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    calls: usize,
    /// Calls at once
    #[arg(long, value_name = "N", default_value_t = 16)]
    at_once: usize,
    /// Calls placed a second; default: one as soon as another ends
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    rate: Option<f64>,
    /// How long each call is spoken into: 300ms, 5s, 2m
    #[arg(long, value_name = "T", default_value = "0s", value_parser = script::duration)]
    stay: Duration,
    /// Connections (UDP: sockets) that the calls share
    #[arg(long, value_name = "N", default_value_t = 4)]
    connections: usize,
    /// Offer plain RTP
    #[arg(long, conflicts_with = "suite")]
    plain: bool,
    /// The SRTP suite that is offered
    #[arg(long, value_name = "SUITE", value_parser = super::parse_suite, default_value = "AEAD_AES_256_GCM")]
    suite: Suite,
    /// The server's process id
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Print the figures as one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a number".to_owned())?;
    (rate.is_finite() && rate > 0.0).then_some(rate).ok_or_else(|| "above 0".to_owned())
}

impl CallsArguments {
    /// What is to be done.
    pub(super) fn plan(self) -> Result<Plan, Error> {
        let trial = self.trial.as_deref().map(Trial::read).transpose()?;
        let listener = trial.as_ref().and_then(|trial| match self.transport {
            Transport::Tls => trial.sip.tls,
            Transport::Tcp => trial.sip.lab_tcp,
            Transport::Udp => trial.sip.lab_udp,
        });
        let address = self.server.or(listener);
        let address =
            address.ok_or_else(|| Error::Plan("the trial has no such listener".into()))?;
        // Accounts of the profile `hipaa` exist on TLS only.
        let profile = if self.transport == Transport::Tls { "hipaa" } else { "standard" };
        let mailbox = trial.as_ref().and_then(|trial| trial.mailbox(profile));
        let uri = self.uri.or(mailbox);
        let uri = uri.ok_or_else(|| Error::Plan("the trial has no such mailbox".into()))?;
        let trunk = trial.as_ref().and_then(|trial| trial.trunk.clone());
        let trunk = trunk.map(|KeyPair { cert, key }| (cert, key));
        let security = match self.plain {
            true => Security::Plain,
            false => Security::Sdes(vec![self.suite]),
        };
        Ok(Plan {
            address,
            transport: self.transport,
            uri,
            identity: Identity {
                ca: self.ca.or_else(|| trial.map(|trial| trial.ca)),
                certificate: self.cert.zip(self.key).or(trunk),
                server_name: self.server_name,
                ..Identity::default()
            },
            calls: self.calls,
            at_once: self.at_once,
            rate: self.rate,
            stay: self.stay,
            connections: self.connections,
            security,
            server_pid: self.server_pid,
        })
    }
}
