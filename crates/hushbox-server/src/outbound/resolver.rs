//! The questions of RFC 3263, asked of the DNS by hickory-resolver. It keeps answers for as long as they hold.

use std::net::SocketAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hushbox_sip::resolution::{Kind, Question, Record, Resolution, Step, Target};
use hushbox_sip::{Destination, Transport};
use tokio::time::timeout;

use crate::{limits, random};

/// Why names cannot be looked up.
#[derive(Debug, thiserror::Error)]
#[error("the DNS of this machine cannot be used: {0}")]
pub struct DnsError(#[from] NetError);

/// Finds out where to send.
#[derive(Clone, Debug)]
pub struct Finder {
    /// Absent where this machine names no name servers: then bare addresses alone lead anywhere.
    dns: Option<TokioResolver>,
    transports: Vec<Transport>,
}

impl Finder {
    /// By the name servers of this machine (`/etc/resolv.conf`, `/etc/hosts`), over these transports, the best first.
    pub fn new(transports: Vec<Transport>) -> Self {
        let dns = system().inspect_err(|error| tracing::warn!(%error, "no names are looked up"));
        Self { dns: dns.ok(), transports }
    }

    /// By one name server.
    pub fn by(server: SocketAddr, transports: Vec<Transport>) -> Result<Self, DnsError> {
        let mut connection = ConnectionConfig::udp();
        connection.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![connection]);
        let config = ResolverConfig::from_name_servers(vec![server]);
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        tune(builder.options_mut());
        Ok(Self { dns: Some(builder.build()?), transports })
    }

    /// Where a target is, in the order of trying; nothing if its name leads nowhere or nobody answers in time.
    pub async fn find(&self, target: Target) -> Vec<Destination> {
        timeout(limits::LOOK_UP_MAX, self.resolve(target)).await.unwrap_or_default()
    }

    async fn resolve(&self, target: Target) -> Vec<Destination> {
        let allowed = self.allowed(&target);
        let mut resolution = Resolution::new(target, &allowed, random::bytes());
        loop {
            match resolution.step() {
                Step::Ask(question) => resolution.answer(self.ask(&question).await),
                Step::Done(destinations) => return destinations,
            }
        }
    }

    /// What is sent in the clear is sent so because somebody has written that, not because the DNS says so.
    fn allowed(&self, target: &Target) -> Vec<Transport> {
        let is_meant = |t: &Transport| match target.transport() {
            Some(named) => named == *t,
            None => *t == Transport::Tls || !self.transports.contains(&Transport::Tls),
        };
        self.transports.iter().copied().filter(is_meant).collect()
    }

    async fn ask(&self, question: &Question) -> Vec<Record> {
        let kind = match question.kind {
            Kind::Naptr => RecordType::NAPTR,
            Kind::Srv => RecordType::SRV,
            Kind::A => RecordType::A,
            Kind::Aaaa => RecordType::AAAA,
        };
        // Whole: no search list of this machine is to be tried.
        let Ok(mut name) = Name::from_ascii(&question.name) else { return Vec::new() };
        name.set_fqdn(true);
        let Some(dns) = &self.dns else { return Vec::new() };
        match dns.lookup(name, kind).await {
            Ok(found) => found.answers().iter().filter_map(|record| read(&record.data)).collect(),
            Err(error) => {
                if !error.is_no_records_found() {
                    tracing::warn!(?kind, "the DNS did not answer");
                }
                Vec::new()
            }
        }
    }
}

fn system() -> Result<TokioResolver, DnsError> {
    let mut builder = TokioResolver::builder_tokio()?;
    tune(builder.options_mut());
    Ok(builder.build()?)
}

fn tune(options: &mut ResolverOpts) {
    options.timeout = limits::DNS_TRY_MAX;
    options.attempts = limits::DNS_TRIES;
}

fn read(data: &RData) -> Option<Record> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(match data {
        RData::NAPTR(naptr) => Record::Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: text(&naptr.flags),
            service: text(&naptr.services),
            replacement: naptr.replacement.to_ascii(),
        },
        RData::SRV(srv) => Record::Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: srv.target.to_ascii(),
        },
        RData::A(a) => Record::Address(a.0.into()),
        RData::AAAA(aaaa) => Record::Address(aaaa.0.into()),
        _ => return None,
    })
}
