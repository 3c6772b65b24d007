//! How a subscription's dialog is written down: a version, then each part with its length.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use hushbox_sip::mwi::Account;
use hushbox_sip::{Flow, KeptSubscription, Transport};
use hushbox_store::limits::SUBSCRIPTION_BYTES_MAX;

const VERSION: u8 = 1;

/// `None` where it is longer than what is kept: such a subscription ends with the server.
pub(super) fn encode(kept: &KeptSubscription, account: Option<&Account>) -> Option<Vec<u8>> {
    let KeptSubscription {
        call_id,
        local,
        remote,
        local_tag,
        remote_tag,
        remote_target,
        route_set,
        local_cseq,
        remote_cseq,
        is_secure,
        event_id,
        flow,
        source,
        identity,
        until: _,
    } = kept;
    let mut out = Writer(vec![VERSION]);
    for part in [call_id, local, remote, local_tag, remote_tag, remote_target] {
        out.bytes(part)?;
    }
    out.number(u32::try_from(route_set.len()).ok()?);
    for route in route_set {
        out.bytes(route)?;
    }
    out.number(*local_cseq);
    out.number(*remote_cseq);
    out.0.push(u8::from(*is_secure));
    out.optional(event_id.as_deref())?;
    out.0.push(match flow.transport {
        Transport::Udp => 0,
        Transport::Tcp => 1,
        Transport::Tls => 2,
    });
    for address in [flow.local, flow.remote, *source] {
        out.address(address);
    }
    out.optional(identity.map(u64::to_be_bytes).as_ref().map(|bytes| &bytes[..]))?;
    out.optional(account.map(|account| account.as_str().as_bytes()))?;
    (out.0.len() <= SUBSCRIPTION_BYTES_MAX).then_some(out.0)
}

/// What was written; `None` where the bytes are something else.
pub(super) fn decode(bytes: &[u8], until: Instant) -> Option<(KeptSubscription, Option<Account>)> {
    if bytes.len() > SUBSCRIPTION_BYTES_MAX {
        return None;
    }
    let mut from = Reader(bytes);
    if from.byte()? != VERSION {
        return None;
    }
    let mut kept = KeptSubscription {
        call_id: from.bytes()?,
        local: from.bytes()?,
        remote: from.bytes()?,
        local_tag: from.bytes()?,
        remote_tag: from.bytes()?,
        remote_target: from.bytes()?,
        route_set: Vec::new(),
        local_cseq: 0,
        remote_cseq: 0,
        is_secure: false,
        event_id: None,
        flow: Flow {
            transport: Transport::Udp,
            local: (Ipv6Addr::UNSPECIFIED, 0).into(),
            remote: (Ipv6Addr::UNSPECIFIED, 0).into(),
            connection: None,
        },
        source: (Ipv6Addr::UNSPECIFIED, 0).into(),
        identity: None,
        until,
    };
    for _ in 0..from.number()? {
        kept.route_set.push(from.bytes()?);
    }
    kept.local_cseq = from.number()?;
    kept.remote_cseq = from.number()?;
    kept.is_secure = from.byte()? != 0;
    kept.event_id = from.optional()?;
    kept.flow.transport = match from.byte()? {
        0 => Transport::Udp,
        1 => Transport::Tcp,
        2 => Transport::Tls,
        _ => return None,
    };
    kept.flow.local = from.address()?;
    kept.flow.remote = from.address()?;
    kept.source = from.address()?;
    kept.identity = match from.optional()? {
        Some(bytes) => Some(u64::from_be_bytes(bytes.try_into().ok()?)),
        None => None,
    };
    let account = match from.optional()? {
        Some(text) => Some(Account::parse(&String::from_utf8(text).ok()?)?),
        None => None,
    };
    from.0.is_empty().then_some((kept, account))
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.number(u32::try_from(bytes.len()).ok()?);
        self.0.extend_from_slice(bytes);
        Some(())
    }

    fn optional(&mut self, bytes: Option<&[u8]>) -> Option<()> {
        self.0.push(u8::from(bytes.is_some()));
        bytes.map_or(Some(()), |bytes| self.bytes(bytes))
    }

    fn address(&mut self, address: SocketAddr) {
        let is_v4 = address.is_ipv4();
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        self.0.push(u8::from(is_v4));
        self.0.extend_from_slice(&ip.octets());
        self.0.extend_from_slice(&address.port().to_be_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.number()?).ok()?;
        Some(self.take(length)?.to_vec())
    }

    /// Outside: whether it could be read; inside: whether it is there.
    fn optional(&mut self) -> Option<Option<Vec<u8>>> {
        match self.byte()? {
            0 => Some(None),
            1 => Some(Some(self.bytes()?)),
            _ => None,
        }
    }

    fn address(&mut self) -> Option<SocketAddr> {
        let is_v4 = self.byte()? != 0;
        let ip = Ipv6Addr::from(<[u8; 16]>::try_from(self.take(16)?).ok()?);
        let port = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        let ip = if is_v4 { IpAddr::V4(ip.to_ipv4_mapped()?) } else { IpAddr::V6(ip) };
        Some(SocketAddr::new(ip, port))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Instant {
        crate::testing::now().monotonic
    }

    fn kept(until: Instant) -> KeptSubscription {
        KeptSubscription {
            call_id: b"call1@pbx".to_vec(),
            local: b"<sip:1001@clinic.example>;tag=a".to_vec(),
            remote: b"<sip:1001@clinic.example>;tag=b".to_vec(),
            local_tag: b"a".to_vec(),
            remote_tag: b"b".to_vec(),
            remote_target: b"sip:1001@192.0.2.1".to_vec(),
            route_set: vec![b"<sip:p1;lr>".to_vec(), b"<sip:p2>".to_vec()],
            local_cseq: 7,
            remote_cseq: 8,
            is_secure: true,
            event_id: Some(b"9".to_vec()),
            flow: Flow {
                transport: Transport::Tls,
                local: "[2001:db8::1]:5061".parse().unwrap(),
                remote: "192.0.2.1:40000".parse().unwrap(),
                connection: None,
            },
            source: "192.0.2.1:40001".parse().unwrap(),
            identity: Some(u64::MAX - 1),
            until,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let until = now();
        let full = kept(until);
        let bare = KeptSubscription {
            route_set: Vec::new(),
            event_id: None,
            identity: None,
            ..kept(until)
        };
        let account = Account::new("1001", "clinic.example");
        for (kept, account) in [(full, account), (bare, None)] {
            let bytes = encode(&kept, account.as_ref()).unwrap();
            assert_eq!(decode(&bytes, until), Some((kept, account)));
        }
    }

    #[test]
    fn a_later_version_and_what_is_cut_short_or_too_long_are_refused() {
        let until = now();
        let bytes = encode(&kept(until), None).unwrap();
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end], until), None, "{end}");
        }
        let mut later = bytes.clone();
        later[0] = 2;
        assert_eq!(decode(&later, until), None);
        assert_eq!(decode(&[bytes, vec![0]].concat(), until), None);
        let long = KeptSubscription { call_id: vec![b'a'; SUBSCRIPTION_BYTES_MAX], ..kept(until) };
        assert_eq!(encode(&long, None), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let until = now();
            let mut version = vec![VERSION];
            version.extend_from_slice(&bytes);
            let _ = decode(&bytes, until);
            let _ = decode(&version, until);
        }
    }
}
