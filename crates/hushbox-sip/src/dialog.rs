//! Dialogs, from the side that was called (RFC 3261 §12).

use crate::invite::OwnedUri;
use crate::limits;
use crate::message::Message;
use crate::message::address::Address;
use crate::message::lex;
use crate::message::uri::Scheme;
use crate::message::write::Writer;
use crate::subscription::KeptSubscription;
use crate::transport::Transport;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// What both ends know of each other. Lives as long as its session.
pub(crate) struct Dialog {
    call_id: Vec<u8>,
    /// Our address with our tag: From of what we send.
    local: Vec<u8>,
    /// The peer's address with its tag: To of what we send.
    remote: Vec<u8>,
    remote_target: Vec<u8>,
    route_set: Vec<Route>,
    local_cseq: u32,
    remote_cseq: u32,
    is_secure: bool,
    allows_update: bool,
}

struct Route {
    /// The Record-Route value.
    text: Vec<u8>,
    /// Its URI.
    uri: Vec<u8>,
    /// Whether that is a loose router (RFC 3261 §19.1.1).
    is_loose: bool,
}

impl Dialog {
    /// RFC 3261 §12.1.1: what an INVITE brings.
    pub(crate) fn new(invite: &Message<'_>, local_tag: &str, uri_scheme: Scheme) -> Self {
        let mut local = lex::unfold(invite.to().text()).into_owned();
        local.extend_from_slice(b";tag=");
        local.extend_from_slice(local_tag.as_bytes());
        let route_set = invite
            .record_route()
            .take(limits::MAX_ROUTES)
            .map(|route| Route {
                text: lex::unfold(route.text()).into_owned(),
                uri: route.uri().without_headers().to_vec(),
                is_loose: route.uri().params().has("lr"),
            })
            .collect();
        Dialog {
            call_id: invite.call_id().to_vec(),
            local,
            remote: lex::unfold(invite.from().text()).into_owned(),
            remote_target: target_of(invite),
            route_set,
            local_cseq: 0,
            remote_cseq: invite.cseq().number,
            is_secure: uri_scheme == Scheme::Sips || is_next_hop_secure(invite),
            allows_update: false,
        }
    }

    /// A dialog as it was kept. `None` where a route is none.
    pub(crate) fn restore(kept: &KeptSubscription) -> Option<Self> {
        let route = |text: &Vec<u8>| {
            let address = Address::parse_single(text)?;
            Some(Route {
                text: text.clone(),
                uri: address.uri().without_headers().to_vec(),
                is_loose: address.uri().params().has("lr"),
            })
        };
        let routes = kept.route_set.iter().take(limits::MAX_ROUTES);
        Some(Dialog {
            call_id: kept.call_id.clone(),
            local: kept.local.clone(),
            remote: kept.remote.clone(),
            remote_target: kept.remote_target.clone(),
            route_set: routes.map(route).collect::<Option<_>>()?,
            // Numbers that were used after it was kept must not come again.
            local_cseq: kept.local_cseq.checked_add(limits::CSEQ_LEAP)?,
            remote_cseq: kept.remote_cseq,
            is_secure: kept.is_secure,
            allows_update: false,
        })
    }

    /// Call-ID.
    pub(crate) fn call_id(&self) -> &[u8] {
        &self.call_id
    }

    /// Our address with our tag.
    pub(crate) fn local(&self) -> &[u8] {
        &self.local
    }

    /// The peer's address with its tag.
    pub(crate) fn remote(&self) -> &[u8] {
        &self.remote
    }

    /// Where requests go.
    pub(crate) fn remote_target(&self) -> &[u8] {
        &self.remote_target
    }

    /// Where requests go next: the first route, strict or loose, else their target (RFC 3261 §12.2.1.1).
    pub(crate) fn next_hop(&self) -> &[u8] {
        self.route_set.first().map_or(&self.remote_target, |first| &first.uri)
    }

    /// The first route, where it is an address that datagrams can go to instead of this one.
    pub(crate) fn proxy_address(&self, instead_of: SocketAddr) -> Option<SocketAddr> {
        let uri = OwnedUri::parse(std::str::from_utf8(&self.route_set.first()?.uri).ok()?).ok()?;
        let is_udp = match uri.param("transport") {
            None => true,
            Some(name) => name.eq_ignore_ascii_case("udp"),
        };
        if uri.scheme() != Scheme::Sip || !is_udp {
            return None;
        }
        let host = uri.host().trim_start_matches('[').trim_end_matches(']');
        let ip = match (host.parse::<IpAddr>().ok()?.to_canonical(), instead_of.ip()) {
            // As a socket of both families has it.
            (IpAddr::V4(ip), IpAddr::V6(like)) if like.to_ipv4_mapped().is_some() => {
                IpAddr::V6(ip.to_ipv6_mapped())
            }
            (ip, like) if ip.is_ipv4() == like.is_ipv4() => ip,
            _ => return None,
        };
        Some(SocketAddr::new(ip, uri.port().unwrap_or(Transport::Udp.default_port())))
    }

    /// The Record-Route values, in order.
    pub(crate) fn routes(&self) -> impl Iterator<Item = &[u8]> {
        self.route_set.iter().map(|route| route.text.as_slice())
    }

    /// The number of the peer's last request.
    pub(crate) fn remote_cseq(&self) -> u32 {
        self.remote_cseq
    }

    /// Whether everything in it must stay on TLS (RFC 3261 §12.1.1).
    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Whether the peer takes UPDATE (RFC 3311 §4).
    pub(crate) fn allows_update(&self) -> bool {
        self.allows_update
    }

    pub(crate) fn set_allows_update(&mut self, allows: bool) {
        self.allows_update = allows;
    }

    /// The number of our last request.
    pub(crate) fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// Takes the number of a request inside the dialog. False if the request is late (RFC 3261
    /// §12.2.2); gaps are fine.
    pub(crate) fn take_cseq(&mut self, number: u32, may_repeat: bool) -> bool {
        let in_order = number > self.remote_cseq || may_repeat && number == self.remote_cseq;
        if in_order {
            self.remote_cseq = number;
        }
        in_order
    }

    /// RFC 3261 §12.2.2: a request that was accepted moves the remote target.
    pub(crate) fn refresh_target(&mut self, target: Vec<u8>) {
        self.remote_target = target;
    }

    /// The start of a request inside the dialog (RFC 3261 §12.2.1.1).
    pub(crate) fn request(&mut self, method: &str, via: fmt::Arguments<'_>) -> Writer {
        self.local_cseq += 1;
        self.numbered(method, self.local_cseq, via)
    }

    /// The ACK of our last request, inside its transaction (RFC 3261 §17.1.1.3).
    pub(crate) fn ack(&self, via: fmt::Arguments<'_>) -> Writer {
        self.numbered("ACK", self.local_cseq, via)
    }

    /// The ACK of a 2xx to the request of this number (RFC 3261 §13.2.2.4).
    pub(crate) fn ack_of(&self, number: u32, via: fmt::Arguments<'_>) -> Writer {
        self.numbered("ACK", number, via)
    }

    fn numbered(&self, method: &str, number: u32, via: fmt::Arguments<'_>) -> Writer {
        let strict = self.route_set.first().filter(|first| !first.is_loose);
        let uri = strict.map_or(&self.remote_target, |first| &first.uri);
        let mut writer = Writer::request(method, uri);
        writer.field("Via", via);
        // A strict router takes itself out of the Request-URI, and the target follows last.
        for route in self.route_set.iter().skip(usize::from(strict.is_some())) {
            writer.echo("Route", &route.text);
        }
        if strict.is_some() {
            let target = [b"<", self.remote_target.as_slice(), b">"].concat();
            writer.echo("Route", &target);
        }
        writer.field("Max-Forwards", 70);
        writer.echo("From", &self.local);
        writer.echo("To", &self.remote);
        writer.echo("Call-ID", &self.call_id);
        writer.field("CSeq", format_args!("{number} {method}"));
        writer
    }
}

impl fmt::Debug for Dialog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dialog({} routes, …)", self.route_set.len())
    }
}

/// Whether the topmost Record-Route, or Contact where there is none, is a sips URI: Contact must be one then as well
/// (RFC 3261 §12.1.1).
fn is_next_hop_secure(request: &Message<'_>) -> bool {
    let next = request.record_route().next().or_else(|| request.contact().copied());
    next.is_some_and(|next| next.uri().scheme() == Scheme::Sips)
}

/// The Contact of a request; RFC 2543 let it be absent, and then From is the peer.
pub(crate) fn target_of(request: &Message<'_>) -> Vec<u8> {
    let contact = request.contact().filter(|c| c.is_sip());
    contact.map_or(request.from().uri(), Address::uri).without_headers().to_vec()
}
