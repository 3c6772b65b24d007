//! The certificates that `quickstart` makes: a local authority and what it signs.

use std::net::IpAddr;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};

/// Days that a certificate of a server, a trunk or a device holds.
const LEAF_DAYS: i64 = 825;
/// Days that the authority holds.
const AUTHORITY_DAYS: i64 = 3_650;
/// A day of grace for clocks that lag.
const BACKDATED_DAYS: i64 = 1;

/// A certificate and its private key, both PEM.
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub key: String,
    /// The certificate's DER.
    pub der: Vec<u8>,
}

/// The local authority of one installation.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pair: Pair,
    today: jiff::civil::Date,
}

impl Authority {
    /// Makes a new authority, whose certificates hold from `now` on.
    pub fn new(now: jiff::Timestamp) -> Result<Self, rcgen::Error> {
        let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let key = KeyPair::generate()?;
        let mut params = params("Hushbox local authority", today, AUTHORITY_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let pair = Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().to_vec(),
        };
        Ok(Self { issuer: Issuer::new(params, key), pair, today })
    }

    /// The authority's own certificate and key.
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// The server's certificate: it names loopback and `addresses`.
    pub fn server(&self, addresses: &[IpAddr]) -> Result<Pair, rcgen::Error> {
        self.sign("Hushbox", None, addresses, self.today)
    }

    /// A trunk's or a device's certificate: its identity is `uri`, as in `sip:pbx.DOMAIN` or `sip:USER@DOMAIN`. It
    /// names addresses too, since a softphone shows the same certificate when it is called.
    pub fn client(&self, uri: &str, addresses: &[IpAddr]) -> Result<Pair, rcgen::Error> {
        self.sign(uri.strip_prefix("sip:").unwrap_or(uri), Some(uri), addresses, self.today)
    }

    /// A client's certificate that was made on another day.
    #[cfg(test)]
    pub(crate) fn client_as_of(
        &self,
        day: jiff::Timestamp,
        uri: &str,
    ) -> Result<Pair, rcgen::Error> {
        self.sign(uri, Some(uri), &[], day.to_zoned(jiff::tz::TimeZone::UTC).date())
    }

    /// A list that says that these certificates were revoked.
    #[cfg(test)]
    pub(crate) fn revoking(
        &self,
        certificates: &[&[u8]],
    ) -> Result<rustls::pki_types::CertificateRevocationListDer<'static>, rcgen::Error> {
        let at = |days| {
            let (year, month, day) = ymd(self.today.saturating_add(jiff::Span::new().days(days)));
            rcgen::date_time_ymd(year, month, day)
        };
        let revoked = certificates.iter().map(|der| {
            let (_, read) = x509_parser::parse_x509_certificate(der).expect("a certificate");
            rcgen::RevokedCertParams {
                serial_number: rcgen::SerialNumber::from_slice(read.raw_serial()),
                revocation_time: at(0),
                reason_code: None,
                invalidity_date: None,
            }
        });
        let list = rcgen::CertificateRevocationListParams {
            this_update: at(-1),
            next_update: at(LEAF_DAYS),
            crl_number: rcgen::SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.der().clone())
    }

    fn sign(
        &self,
        name: &str,
        uri: Option<&str>,
        addresses: &[IpAddr],
        today: jiff::civil::Date,
    ) -> Result<Pair, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = params(name, today, LEAF_DAYS);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        if let Some(uri) = uri {
            params.subject_alt_names.push(SanType::URI(Ia5String::try_from(uri)?));
        }
        params.subject_alt_names.push(SanType::DnsName(Ia5String::try_from("localhost")?));
        for address in names(addresses) {
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().to_vec(),
        })
    }
}

/// Loopback and `addresses`, each once. The address that stands for all of them is named, too: who is told to call
/// `0.0.0.0` on this machine checks for that.
fn names(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut names = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)];
    for address in addresses {
        if !names.contains(address) {
            names.push(*address);
        }
    }
    names
}

fn params(name: &str, today: jiff::civil::Date, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    params.distinguished_name = distinguished;
    let midnight = |date: jiff::civil::Date| {
        let (year, month, day) = ymd(date);
        rcgen::date_time_ymd(year, month, day)
    };
    params.not_before = midnight(today.saturating_sub(jiff::Span::new().days(BACKDATED_DAYS)));
    params.not_after = midnight(today.saturating_add(jiff::Span::new().days(days)));
    params
}

fn ymd(date: jiff::civil::Date) -> (i32, u8, u8) {
    (i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_certificate_names_loopback_and_the_addresses_given() {
        let authority = Authority::new(jiff::Timestamp::now()).expect("an authority");
        let pair =
            authority.server(&["192.0.2.4".parse().expect("an address")]).expect("a certificate");
        let (_, certificate) =
            x509_parser::parse_x509_certificate(&pair.der).expect("a certificate");
        let names = certificate.subject_alternative_name().expect("well-formed").expect("names");
        assert_eq!(names.value.general_names.len(), 4);
        let usage = certificate.extended_key_usage().expect("well-formed").expect("a usage");
        assert!(usage.value.server_auth && usage.value.client_auth);
        assert!(certificate.validity().is_valid());
    }
}
