//! Who a certificate says it is: its key's hash, and the one name in it that counts.
//!
//! RFC 5922 §7.1: a `sip` URI in subjectAltName comes first, DNS names count only where there is none. The common name
//! never counts. What is ambiguous is nobody: rustls's verifier accepts certificates with several names, without an
//! extended key usage or with names that are not text, so those are refused here.

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::prelude::{
    CertificateRevocationList, FromDer, GeneralName, ParsedExtension, X509Certificate,
};

/// The longest name that is looked at.
const NAME_MAX: usize = 255;

/// What a client's certificate claims. Whether it is believed is decided against the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER).
    pub key_hash: [u8; 32],
    /// The names that count, each as a record writes it: one `sip:domain` or `sip:user@domain`, or else DNS names as
    /// `dns:name`; host names in lower case.
    pub names: Vec<String>,
    /// The last second at which the certificate holds, in Unix time.
    pub not_after: i64,
    /// The first one.
    pub not_before: i64,
}

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The one that connected.
    Client,
    /// The one that was connected to.
    Server,
}

/// Why a certificate is as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is not an X.509 certificate.
    #[error("not a certificate")]
    Malformed,
    /// Extended key usage lacks what the end that showed it needs.
    #[error("not for this end of a connection")]
    NotForThisEnd,
}

impl Identity {
    /// Reads the certificate `der`, which this end of a connection has shown.
    pub fn read(der: &[u8], end: End) -> Result<Self, Unusable> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| Unusable::Malformed)?;
        if !rest.is_empty() {
            return Err(Unusable::Malformed);
        }
        let usage = certificate.extended_key_usage().map_err(|_| Unusable::Malformed)?;
        let fits = usage.is_some_and(|usage| match end {
            End::Client => usage.value.client_auth,
            End::Server => usage.value.server_auth,
        });
        if !fits {
            return Err(Unusable::NotForThisEnd);
        }
        let mut key_hash = [0; 32];
        key_hash.copy_from_slice(digest(&SHA256, certificate.public_key().raw).as_ref());
        let validity = certificate.validity();
        Ok(Self {
            key_hash,
            names: names(&certificate),
            not_after: validity.not_after.timestamp(),
            not_before: validity.not_before.timestamp(),
        })
    }

    /// Whether the certificate holds at `unix_secs`.
    pub fn holds_at(&self, unix_secs: i64) -> bool {
        (self.not_before..=self.not_after).contains(&unix_secs)
    }
}

/// The last second at which the certificate `der` holds, in Unix time.
pub fn last_second(der: &[u8]) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// Whether a list of revoked certificates is that of the authority `der`: one with the same name and another key, as
/// after a renewal, is not (RFC 5280 §5.2.1). Where a key identifier is missing the name decides, later.
pub fn is_list_of(list: &[u8], der: &[u8]) -> bool {
    let Ok((_, list)) = CertificateRevocationList::from_der(list) else { return true };
    let Ok((_, authority)) = X509Certificate::from_der(der) else { return true };
    let of_list =
        list.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                id.key_identifier.as_ref().map(|id| id.0)
            }
            _ => None,
        });
    let of_authority = authority.extensions().iter().find_map(|e| match e.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    });
    match (of_list, of_authority) {
        (Some(list), Some(authority)) => list == authority,
        _ => true,
    }
}

/// RFC 5922 §7.1: whether the certificate `der` names the domain `wanted`: one of its SIP URIs does, or, where it has
/// none, one of its DNS names.
pub fn names_domain(der: &[u8], wanted: &str) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    let wanted = wanted.strip_suffix('.').unwrap_or(wanted).to_ascii_lowercase();
    let mut sip = Vec::new();
    let mut dns = false;
    for name in &names.value.general_names {
        match name {
            GeneralName::URI(uri) if is_sip(uri) => sip.push(sip_name(uri)),
            GeneralName::DNSName(name) => {
                dns |= is_host(name) && name.eq_ignore_ascii_case(&wanted)
            }
            _ => {}
        }
    }
    if sip.is_empty() { dns } else { sip.contains(&Some(format!("sip:{wanted}"))) }
}

/// Whether the certificate `der` names the address `ip`.
pub fn names_address(der: &[u8], ip: std::net::IpAddr) -> bool {
    let octets = match ip {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    names.value.general_names.iter().any(|name| *name == GeneralName::IPAddress(&octets))
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let mut sip = Vec::new();
    let mut dns = Vec::new();
    for name in &names.value.general_names {
        match name {
            GeneralName::URI(uri) if is_sip(uri) => {
                sip.push(sip_name(uri));
            }
            GeneralName::DNSName(name) if is_host(name) => {
                dns.push(format!("dns:{}", name.to_ascii_lowercase()))
            }
            _ => {}
        }
    }
    match sip.as_slice() {
        [] => dns,
        [Some(only)] => vec![only.clone()],
        // Several, or one that cannot be read: nobody can say which is meant.
        _ => Vec::new(),
    }
}

/// `sip:domain` or `sip:user@domain`, without port, parameters or headers; the host in lower case.
fn sip_name(uri: &str) -> Option<String> {
    let rest = uri.get(4..)?;
    if rest.len() > NAME_MAX || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let (user, host) = match rest.split_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, rest),
    };
    if !is_host(host)
        || user.is_some_and(|user| user.is_empty() || user.contains([':', ';', '?', '%']))
    {
        return None;
    }
    let host = host.to_ascii_lowercase();
    Some(user.map_or_else(|| format!("sip:{host}"), |user| format!("sip:{user}@{host}")))
}

fn is_sip(uri: &str) -> bool {
    uri.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sip:"))
}

/// RFC 5922 §7.2: no wildcard.
fn is_host(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType};

    use super::*;

    fn certificate(names: &[SanType], usages: &[ExtendedKeyUsagePurpose]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        params.extended_key_usages = usages.to_vec();
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(Ia5String::try_from(text).expect("ASCII"))
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(Ia5String::try_from(text).expect("ASCII"))
    }

    fn names_of(names: &[SanType]) -> Vec<String> {
        Identity::read(&certificate(names, &[ExtendedKeyUsagePurpose::ClientAuth]), End::Client)
            .expect("readable")
            .names
    }

    #[test]
    fn one_sip_uri_is_the_identity_and_hides_dns_names() {
        assert_eq!(
            names_of(&[uri("sip:Phone@EXAMPLE.org"), dns("localhost")]),
            ["sip:Phone@example.org"]
        );
        assert_eq!(names_of(&[uri("SIP:pbx.example.org")]), ["sip:pbx.example.org"]);
    }

    #[test]
    fn two_sip_uris_are_nobody_even_with_a_dns_name() {
        assert!(
            names_of(&[uri("sip:a@example.org"), uri("sip:b@example.org"), dns("example.org")])
                .is_empty()
        );
    }

    #[test]
    fn dns_names_count_only_without_a_sip_uri() {
        assert_eq!(
            names_of(&[dns("PBX.example.org"), uri("https://example.org")]),
            ["dns:pbx.example.org"]
        );
        assert!(names_of(&[dns("*.example.org")]).is_empty());
    }

    #[test]
    fn uris_with_ports_parameters_escapes_or_odd_bytes_are_nobody() {
        for odd in [
            "sip:a@b:5061",
            "sip:b;transport=tls",
            "sip:a%40c@b",
            "sip:@b",
            "sip:",
            "sip:a@b@c",
            "sip:a b",
        ] {
            assert!(names_of(&[uri(odd)]).is_empty(), "{odd}");
        }
    }

    #[test]
    fn a_certificate_without_client_auth_is_as_none() {
        let names = [uri("sip:pbx.example.org")];
        assert_eq!(
            Identity::read(&certificate(&names, &[]), End::Client),
            Err(Unusable::NotForThisEnd)
        );
        let server = certificate(&names, &[ExtendedKeyUsagePurpose::ServerAuth]);
        assert_eq!(Identity::read(&server, End::Client), Err(Unusable::NotForThisEnd));
        assert_eq!(Identity::read(b"\x30\x03abc", End::Client), Err(Unusable::Malformed));
    }

    #[test]
    fn the_common_name_never_counts() {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "sip:pbx.example.org");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let der = params.self_signed(&key).expect("a certificate").der().to_vec();
        assert!(Identity::read(&der, End::Client).expect("readable").names.is_empty());
    }
}
