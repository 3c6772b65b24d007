//! Where a SIP URI leads: RFC 3263 §4 as questions for the DNS and what its answers mean.
//!
//! One question at a time goes out, and its answer comes in; nothing here asks anybody. The result
//! is a list in the order in which the places are to be tried (§4.3).

mod order;
#[cfg(test)]
mod tests;

use crate::invite::OwnedUri;
use crate::limits;
use crate::message::uri::Scheme;
use crate::outgoing::Destination;
use crate::transport::Transport;
use order::by_weight;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// What of a URI says where to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// A name or a bare address.
    host: String,
    port: Option<u16>,
    transport: Option<Transport>,
    is_secure: bool,
}

impl Target {
    /// The target of a `sip` or `sips` URI; `None` for what leads nowhere: another scheme, a
    /// transport that is not ours, or `sips` by anything but TLS (RFC 3261 §26.2.2).
    pub fn of(uri: &OwnedUri) -> Option<Self> {
        let is_secure = match uri.scheme() {
            Scheme::Sip => false,
            Scheme::Sips => true,
            Scheme::Tel | Scheme::Other => return None,
        };
        let named = uri.param("transport").map(|name| name.to_ascii_lowercase());
        let transport = match (named.as_deref(), is_secure) {
            (None, _) => None,
            // RFC 3261 §26.2.2: `sips` means TLS over what the parameter names.
            (Some("tls" | "tcp"), true) | (Some("tls"), false) => Some(Transport::Tls),
            (Some("tcp"), false) => Some(Transport::Tcp),
            (Some("udp"), false) => Some(Transport::Udp),
            (Some(_), _) => return None,
        };
        // RFC 3263 §4: `maddr` is not followed: it would send our secrets past the name.
        Some(Target { host: uri.host().to_owned(), port: uri.port(), transport, is_secure })
    }

    /// The host, as the URI has it: what the server must prove to be.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// By this transport, where the URI names none.
    pub(crate) fn or_by(self, transport: Transport) -> Self {
        let transport = match transport {
            Transport::Tcp | Transport::Udp if self.is_secure => Transport::Tls,
            Transport::Tls | Transport::Tcp | Transport::Udp => transport,
        };
        Target { transport: self.transport.or(Some(transport)), ..self }
    }

    /// The transport, where the URI names one.
    pub fn transport(&self) -> Option<Transport> {
        self.transport.or(self.is_secure.then_some(Transport::Tls))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({:?}, …)", self.transport)
    }
}

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// RFC 3403.
    Naptr,
    /// RFC 2782.
    Srv,
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
}

/// A question for the DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The whole name, without the last dot.
    pub name: String,
    /// Which records.
    pub kind: Kind,
}

/// A record out of an answer. Names may end in a dot or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// NAPTR.
    Naptr {
        /// Which comes first.
        order: u16,
        /// The same among those of one order.
        preference: u16,
        /// `s` leads to SRV records.
        flags: String,
        /// Such as `SIPS+D2T`.
        service: String,
        /// The name that it leads to.
        replacement: String,
    },
    /// SRV.
    Srv {
        /// Which comes first.
        priority: u16,
        /// How often it comes first among those of one priority.
        weight: u16,
        /// The port.
        port: u16,
        /// The host; `.` says that there is no such service.
        target: String,
    },
    /// A or AAAA.
    Address(IpAddr),
}

/// What a resolution wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this, and give the answer to [`Resolution::answer`].
    Ask(Question),
    /// Where to send, in the order of trying; nothing if the name leads nowhere.
    Done(Vec<Destination>),
}

/// The resolution of one target.
pub struct Resolution {
    target: Target,
    /// Transports that we may use, the best first.
    allowed: Vec<Transport>,
    rng: ChaCha20Rng,
    work: VecDeque<Work>,
    asked: Option<Work>,
    questions: usize,
    stage: Stage,
    found: Vec<Destination>,
}

/// How far down the list of RFC 3263 §4.1 and §4.2 it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Naptr,
    Srv,
    Addresses,
    Over,
}

/// One question, and what its answer is for.
#[derive(Clone)]
enum Work {
    Naptr,
    Srv { name: String, transport: Transport },
    Address { name: String, kind: Kind, transport: Transport, port: u16 },
}

impl Resolution {
    /// Begins. `allowed` are the transports that may be used for this, the best first: TLS alone
    /// for what concerns accounts with PHI. The seed decides among SRV records of one priority.
    pub fn new(target: Target, allowed: &[Transport], seed: [u8; 32]) -> Self {
        let allowed = match target.is_secure {
            true => allowed.iter().copied().filter(|t| *t == Transport::Tls).collect(),
            false => allowed.to_vec(),
        };
        let mut resolution = Resolution {
            target,
            allowed,
            rng: ChaCha20Rng::from_seed(seed),
            work: VecDeque::new(),
            asked: None,
            questions: 0,
            stage: Stage::Naptr,
            found: Vec::new(),
        };
        resolution.begin();
        resolution
    }

    /// What to do now.
    pub fn step(&mut self) -> Step {
        loop {
            if let Some(work) = &self.asked {
                return Step::Ask(work.question(&self.target));
            }
            if self.questions < limits::MAX_QUESTIONS
                && self.found.len() < limits::MAX_DESTINATIONS
                && let Some(work) = self.work.pop_front()
            {
                self.questions += 1;
                self.asked = Some(work);
                continue;
            }
            self.work.clear();
            match self.stage {
                Stage::Over => return Step::Done(std::mem::take(&mut self.found)),
                _ if !self.found.is_empty() => self.stage = Stage::Over,
                Stage::Naptr => self.ask_services(),
                Stage::Srv => self.ask_addresses(),
                Stage::Addresses => self.stage = Stage::Over,
            }
        }
    }

    /// The records that answer the question; none where there are none, or where nobody answers.
    pub fn answer(&mut self, records: Vec<Record>) {
        let Some(work) = self.asked.take() else { return };
        match work {
            Work::Naptr => self.take_naptr(records),
            Work::Srv { transport, .. } => self.take_srv(records, transport),
            Work::Address { kind, transport, port, .. } => {
                for record in records {
                    match record {
                        Record::Address(ip) if (kind == Kind::A) == ip.is_ipv4() => {
                            self.find(transport, ip, port);
                        }
                        Record::Address(_) | Record::Naptr { .. } | Record::Srv { .. } => {}
                    }
                }
            }
        }
    }

    fn begin(&mut self) {
        if self.target.transport.is_some_and(|t| !self.allowed.contains(&t)) {
            self.stage = Stage::Over;
        } else if let Ok(ip) = self.target.host.parse::<IpAddr>() {
            // §4.1, §4.2: nothing to ask.
            self.stage = Stage::Over;
            if let Some(transport) = self.default_transport() {
                let port = self.target.port.unwrap_or(transport.default_port());
                self.find(transport, ip, port);
            }
        } else if self.target.port.is_some() {
            self.ask_addresses();
        } else if self.target.transport.is_some() {
            self.ask_services();
        } else {
            self.work.push_back(Work::Naptr);
        }
    }

    /// §4.1: UDP, or TLS for `sips`; where that must not be, the best of what may.
    fn default_transport(&self) -> Option<Transport> {
        let default = if self.target.is_secure { Transport::Tls } else { Transport::Udp };
        let best = || self.allowed.first().copied();
        let default = Some(default).filter(|t| self.allowed.contains(t));
        self.target.transport.or(default).or_else(best)
    }

    /// §4.1: by SRV, for each transport that may be used.
    fn ask_services(&mut self) {
        self.stage = Stage::Srv;
        let wanted = self.target.transport;
        let transports = self.allowed.iter().copied().filter(|t| wanted.is_none_or(|w| w == *t));
        for transport in transports {
            let name = format!("{}.{}", service(transport), self.target.host);
            self.work.push_back(Work::Srv { name, transport });
        }
    }

    /// §4.2: there are no services, or the port says that they do not matter.
    fn ask_addresses(&mut self) {
        self.stage = Stage::Addresses;
        let Some(transport) = self.default_transport() else { return };
        let port = self.target.port.unwrap_or(transport.default_port());
        self.push_addresses(&self.target.host.clone(), transport, port);
    }

    /// IPv6 first (RFC 6724 §2.1).
    fn push_addresses(&mut self, host: &str, transport: Transport, port: u16) {
        for kind in [Kind::Aaaa, Kind::A] {
            let name = host.to_owned();
            self.work.push_back(Work::Address { name, kind, transport, port });
        }
    }

    fn take_naptr(&mut self, records: Vec<Record>) {
        let mut services: Vec<_> = records
            .into_iter()
            .filter_map(|record| match record {
                Record::Naptr { order, preference, flags, service, replacement } => {
                    let transport = transport_of(&service)?;
                    let fits = flags.eq_ignore_ascii_case("s")
                        && self.allowed.contains(&transport)
                        && is_name(&replacement);
                    fits.then_some((order, preference, replacement, transport))
                }
                Record::Srv { .. } | Record::Address(_) => None,
            })
            .collect();
        services.sort();
        if services.is_empty() {
            return;
        }
        self.stage = Stage::Srv;
        for (_, _, name, transport) in services.into_iter().take(limits::MAX_DESTINATIONS) {
            self.work.push_back(Work::Srv { name: bare(&name), transport });
        }
    }

    fn take_srv(&mut self, records: Vec<Record>, transport: Transport) {
        let services = records.into_iter().filter_map(|record| match record {
            Record::Srv { priority, weight, port, target } => {
                Some((priority, weight, (port, target)))
            }
            Record::Naptr { .. } | Record::Address(_) => None,
        });
        let services: Vec<_> = services.take(limits::MAX_RECORDS).collect();
        if services.is_empty() {
            return;
        }
        // RFC 2782: who has SRV records is not asked for addresses.
        self.stage = Stage::Addresses;
        let rest = std::mem::take(&mut self.work);
        for (port, host) in by_weight(services, &mut self.rng) {
            if is_name(&host) && port != 0 {
                self.push_addresses(&bare(&host), transport, port);
            }
        }
        self.work.extend(rest);
    }

    fn find(&mut self, transport: Transport, ip: IpAddr, port: u16) {
        let name = (transport == Transport::Tls).then(|| self.target.host.clone());
        let destination = Destination::new(transport, SocketAddr::new(ip, port), name);
        let is_new = !self.found.contains(&destination);
        if is_new && self.found.len() < limits::MAX_DESTINATIONS {
            self.found.push(destination);
        }
    }
}

impl fmt::Debug for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolution({} questions, {} found)", self.questions, self.found.len())
    }
}

impl Work {
    fn question(&self, target: &Target) -> Question {
        let (name, kind) = match self {
            Work::Naptr => (&target.host, Kind::Naptr),
            Work::Srv { name, .. } => (name, Kind::Srv),
            Work::Address { name, kind, .. } => (name, *kind),
        };
        Question { name: name.clone(), kind }
    }
}

fn service(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    }
}

fn transport_of(service: &str) -> Option<Transport> {
    match service.to_ascii_uppercase().as_str() {
        "SIP+D2U" => Some(Transport::Udp),
        "SIP+D2T" => Some(Transport::Tcp),
        "SIPS+D2T" => Some(Transport::Tls),
        _ => None,
    }
}

/// Whether it is a name at all: `.` is none.
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    !name.is_empty() && name.len() <= limits::MAX_HOST_BYTES
}

fn bare(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_owned()
}
