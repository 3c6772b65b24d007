//! Whether a server is whom we asked for (RFC 5922 §7.1, §7.2): its certificate is signed by an authority of
//! `tls.server_cas` and names the domain, as a SIP URI, or as a DNS name where there is no SIP URI; an address must
//! stand there as one. The common name never counts, and no wildcard does.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::identity;

/// Checks servers' certificates.
pub struct ServerCertificates {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

/// A server's certificate holds, and names somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate does not name the server that was asked for")]
pub struct WrongName;

impl ServerCertificates {
    /// `roots` are the authorities that may sign them.
    pub fn new(roots: RootCertStore, provider: Arc<CryptoProvider>) -> Self {
        Self { roots, provider }
    }
}

impl fmt::Debug for ServerCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificates")
            .field("roots", &self.roots.len())
            .finish_non_exhaustive()
    }
}

impl ServerCertVerifier for ServerCertificates {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        wanted: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(own)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            between,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        let names = match wanted {
            ServerName::DnsName(name) => identity::names_domain(own, name.as_ref()),
            ServerName::IpAddress(address) => identity::names_address(own, IpAddr::from(*address)),
            _ => false,
        };
        if names {
            Ok(ServerCertVerified::assertion())
        } else {
            let why = OtherError(Arc::new(WrongName));
            Err(Error::InvalidCertificate(CertificateError::Other(why)))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::string::Ia5String;
    use rcgen::{
        CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    };

    use super::*;

    struct Ca(CertifiedIssuer<'static, KeyPair>);

    impl Ca {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let key = KeyPair::generate().expect("a key");
            Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
        }

        fn signs(
            &self,
            names: &[SanType],
            usage: ExtendedKeyUsagePurpose,
        ) -> CertificateDer<'static> {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, "pbx.clinic.example");
            params.subject_alt_names = names.to_vec();
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().expect("a key");
            params.signed_by(&key, &self.0).expect("a certificate").der().clone()
        }
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(Ia5String::try_from(text).expect("ASCII"))
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(Ia5String::try_from(text).expect("ASCII"))
    }

    fn is_taken(ca: &Ca, shown: &CertificateDer<'_>, wanted: &str) -> bool {
        is_taken_at(ca, shown, wanted, 1_800_000_000)
    }

    fn is_taken_at(ca: &Ca, shown: &CertificateDer<'_>, wanted: &str, at: u64) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(ca.0.der().clone()).expect("a root");
        let verifier = ServerCertificates::new(roots, crate::tls::provider());
        let wanted = ServerName::try_from(wanted).expect("a name");
        let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
        verifier.verify_server_cert(shown, &[], &wanted, &[], now).is_ok()
    }

    const WANTED: &str = "pbx.clinic.example";

    #[test]
    fn a_sip_uri_names_the_server_and_a_dns_name_only_where_there_is_none() {
        let ca = Ca::new();
        let signed = |names: &[SanType]| ca.signs(names, ExtendedKeyUsagePurpose::ServerAuth);
        for (names, expected) in [
            (vec![uri("sip:pbx.clinic.example")], true),
            (vec![uri("SIP:PBX.clinic.example")], true),
            (vec![uri("sip:other.example"), uri("sip:pbx.clinic.example")], true),
            (vec![dns("PBX.clinic.example")], true),
            (vec![dns("pbx.clinic.example"), uri("https://other.example")], true),
            (vec![dns("pbx.clinic.example"), uri("sip:other.example")], false),
            (vec![uri("sip:somebody@pbx.clinic.example"), dns("pbx.clinic.example")], false),
            (vec![uri("sip:pbx.clinic.example;transport=tls")], false),
            (vec![dns("*.clinic.example")], false),
            (vec![dns("clinic.example")], false),
            (Vec::new(), false),
        ] {
            assert_eq!(is_taken(&ca, &signed(&names), WANTED), expected, "{names:?}");
        }
    }

    #[test]
    fn an_address_must_stand_in_the_certificate_as_one() {
        let ca = Ca::new();
        let address = SanType::IpAddress("192.0.2.7".parse().expect("an address"));
        let named = ca.signs(&[address], ExtendedKeyUsagePurpose::ServerAuth);
        assert!(is_taken(&ca, &named, "192.0.2.7"));
        assert!(!is_taken(&ca, &named, "192.0.2.8"));
        let other = ca.signs(&[dns(WANTED)], ExtendedKeyUsagePurpose::ServerAuth);
        assert!(!is_taken(&ca, &other, "192.0.2.7"));
    }

    #[test]
    fn strangers_clients_and_what_is_over_are_refused() {
        let ca = Ca::new();
        let names = [uri("sip:pbx.clinic.example")];
        let good = ca.signs(&names, ExtendedKeyUsagePurpose::ServerAuth);
        assert!(is_taken(&ca, &good, WANTED));
        assert!(!is_taken(&Ca::new(), &good, WANTED), "another authority");
        let client = ca.signs(&names, ExtendedKeyUsagePurpose::ClientAuth);
        assert!(!is_taken(&ca, &client, WANTED), "a client's certificate");
        assert!(!is_taken_at(&ca, &good, WANTED, 80_000_000_000), "expired");
        assert!(!is_taken(&ca, &CertificateDer::from(vec![0x30, 3, 1, 2, 3]), WANTED));
    }
}
