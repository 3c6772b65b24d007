//! Which device or trunk a client certificate is: the directory's records against what the handshake showed.
//!
//! A certificate that fits no record is as none (telephones carry factory certificates): the handshake goes on, and
//! its signature is checked all the same. One that fits a record and has expired or was revoked fails the handshake.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
};

use crate::identity::{self, End, Identity};

/// What a record asks of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// This public key, whoever signed the certificate.
    KeyHash([u8; 32]),
    /// This name, signed by the authority whose certificate has this SHA-256; `None` is any configured one.
    AuthorityAndName {
        /// SHA-256 of the authority's certificate.
        authority: Option<[u8; 32]>,
        /// The name, as [`Identity::names`] has it.
        name: String,
    },
}

/// One record that may fit a certificate: `P` says which device or trunk it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<P> {
    /// Whose record it is.
    pub peer: P,
    /// What it asks.
    pub binding: Binding,
}

/// The records of the moment.
pub trait Records<P>: Send + Sync {
    /// The records whose key hash or name stands in `identity`.
    fn candidates(&self, identity: &Identity) -> Vec<Candidate<P>>;
}

/// The outcome of looking a certificate up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match<P> {
    /// No certificate, or one that is as none.
    Nobody,
    /// Exactly one record fits.
    One(P),
    /// Several records fit: 403, design.md "Who may call".
    Several,
}

/// A certificate that fits a record and does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoesNotHold {
    /// Not any more, or not yet.
    #[error("a certificate that fits a record is outside of its dates")]
    OutOfDate,
    /// Its authority has revoked it.
    #[error("a certificate that fits a record was revoked")]
    Revoked,
}

/// The authorities that may sign clients' certificates, and the records that name them.
pub struct ClientCertificates<P> {
    authorities: RwLock<Authorities>,
    records: RwLock<Arc<dyn Records<P>>>,
    provider: Arc<CryptoProvider>,
}

/// Authorities that are ready to be used.
#[derive(Clone, Default)]
pub struct Authorities(Arc<[Authority]>);

struct Authority {
    sha256: [u8; 32],
    verifier: Arc<dyn ClientCertVerifier>,
    roots: Arc<RootCertStore>,
}

/// Whether an authority stands behind a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signed {
    No,
    Yes,
    /// It did, and has revoked it.
    Revoked,
}

impl<P> ClientCertificates<P> {
    /// `authorities` and lists of what they have `revoked`.
    pub fn new(
        authorities: &[CertificateDer<'static>],
        revoked: &[CertificateRevocationListDer<'static>],
        records: Arc<dyn Records<P>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, AuthorityError> {
        let (none, records) = (RwLock::default(), RwLock::new(records));
        let this = Self { authorities: none, records, provider };
        this.set_authorities(this.prepare(authorities, revoked)?);
        Ok(this)
    }

    /// Makes authorities ready; nothing is replaced yet.
    pub fn prepare(
        &self,
        authorities: &[CertificateDer<'static>],
        revoked: &[CertificateRevocationListDer<'static>],
    ) -> Result<Authorities, AuthorityError> {
        let mut list = Vec::new();
        for (index, der) in authorities.iter().enumerate() {
            let unusable =
                |source: Box<dyn std::error::Error + Send + Sync>| AuthorityError { index, source };
            let mut roots = RootCertStore::empty();
            roots.add(der.clone()).map_err(|error| unusable(error.into()))?;
            let roots = Arc::new(roots);
            // A list speaks of its own authority's certificates; of the others nothing is known by it.
            let verifier = WebPkiClientVerifier::builder_with_provider(
                Arc::clone(&roots),
                Arc::clone(&self.provider),
            )
            .with_crls(revoked.iter().filter(|list| identity::is_list_of(list, der)).cloned())
            .only_check_end_entity_revocation()
            .allow_unknown_revocation_status()
            .build()
            .map_err(|error| unusable(error.into()))?;
            list.push(Authority { sha256: sha256(der), verifier, roots });
        }
        Ok(Authorities(list.into()))
    }

    /// Replaces the authorities, for handshakes from now on.
    pub fn set_authorities(&self, authorities: Authorities) {
        *self.authorities.write().unwrap_or_else(PoisonError::into_inner) = authorities;
    }

    /// Replaces the records, when the directory has changed.
    pub fn set_records(&self, records: Arc<dyn Records<P>>) {
        *self.records.write().unwrap_or_else(PoisonError::into_inner) = records;
    }

    /// Who showed `chain` (the client's own certificate first).
    pub fn look_up(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Match<P>, DoesNotHold> {
        self.look_up_as(End::Client, chain, now)
    }

    /// Whose a certificate is that a server has shown: design.md "Who may call", on a connection that we opened the
    /// trunk's server certificate counts.
    pub fn look_up_server(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Match<P>, DoesNotHold> {
        self.look_up_as(End::Server, chain, now)
    }

    fn look_up_as(
        &self,
        end: End,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Match<P>, DoesNotHold> {
        let Some((own, between)) = chain.split_first() else { return Ok(Match::Nobody) };
        let Ok(identity) = Identity::read(own, end) else { return Ok(Match::Nobody) };
        let records = Arc::clone(&self.records.read().unwrap_or_else(PoisonError::into_inner));
        let holds = i64::try_from(now.as_secs()).is_ok_and(|now| identity.holds_at(now));
        let mut fitting = Vec::new();
        let mut revoked = false;
        for candidate in records.candidates(&identity) {
            let (fits, signed) = match &candidate.binding {
                // No authority is needed for a key; but one that has revoked it is heard.
                Binding::KeyHash(hash) => {
                    let signed = self.signed(end, None, (own, between), &identity, now);
                    (*hash == identity.key_hash, signed)
                }
                Binding::AuthorityAndName { authority, name } => {
                    let signed = self.signed(end, *authority, (own, between), &identity, now);
                    (identity.names.contains(name) && signed != Signed::No, signed)
                }
            };
            if fits {
                revoked |= signed == Signed::Revoked;
                fitting.push(candidate.peer);
            }
        }
        match (fitting.pop(), fitting.is_empty()) {
            (None, _) => Ok(Match::Nobody),
            (Some(_), _) if !holds => Err(DoesNotHold::OutOfDate),
            (Some(_), _) if revoked => Err(DoesNotHold::Revoked),
            (Some(peer), true) => Ok(Match::One(peer)),
            (Some(_), false) => Ok(Match::Several),
        }
    }

    /// Whether an authority signed it. A certificate out of its dates is judged as of its last day: what decides
    /// between "expired" and "a stranger's" is the signature.
    fn signed(
        &self,
        end: End,
        authority: Option<[u8; 32]>,
        (own, between): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        identity: &Identity,
        now: UnixTime,
    ) -> Signed {
        let at = match u64::try_from(identity.not_after) {
            Ok(last) if !i64::try_from(now.as_secs()).is_ok_and(|now| identity.holds_at(now)) => {
                UnixTime::since_unix_epoch(Duration::from_secs(last))
            }
            _ => now,
        };
        let known = self.authorities.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut signed = Signed::No;
        for known in known.0.iter().filter(|known| authority.is_none_or(|a| a == known.sha256)) {
            let verified = match end {
                End::Client => known.verifier.verify_client_cert(own, between, at).map(|_| ()),
                End::Server => self.verify_server_cert(known, own, between, at),
            };
            match verified {
                Ok(()) if signed == Signed::No => signed = Signed::Yes,
                Err(rustls::Error::InvalidCertificate(CertificateError::Revoked)) => {
                    signed = Signed::Revoked;
                }
                Ok(()) | Err(_) => {}
            }
        }
        signed
    }

    fn verify_server_cert(
        &self,
        by: &Authority,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        at: UnixTime,
    ) -> Result<(), rustls::Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let own = ParsedCertificate::try_from(own)?;
        verify_server_cert_signed_by_trust_anchor(&own, &by.roots, between, at, algorithms)
    }
}

impl<P> fmt::Debug for ClientCertificates<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificates")
    }
}

impl<P> ClientCertVerifier for ClientCertificates<P> {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A telephone with a certificate of its own kind, bound by its key's hash, sends it only if it is not told
        // that it must be one of these authorities'.
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain: Vec<_> = std::iter::once(own).chain(between).cloned().collect();
        match self.look_up(&chain, now) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(DoesNotHold::OutOfDate) => {
                Err(rustls::Error::InvalidCertificate(CertificateError::Expired))
            }
            Err(DoesNotHold::Revoked) => {
                Err(rustls::Error::InvalidCertificate(CertificateError::Revoked))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A configured authority that cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("certificate {} of tls.client_cas cannot be an authority: {source}", index + 1)]
pub struct AuthorityError {
    index: usize,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// SHA-256 of a certificate: how a record names an authority.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates;

    /// Records as a list; the peer is the record's place in it.
    struct List(Vec<Binding>);

    impl Records<usize> for List {
        fn candidates(&self, _: &Identity) -> Vec<Candidate<usize>> {
            self.0
                .iter()
                .cloned()
                .enumerate()
                .map(|(peer, binding)| Candidate { peer, binding })
                .collect()
        }
    }

    const NOW: &str = "2026-03-01T12:00:00Z";

    fn authority() -> certificates::Authority {
        certificates::Authority::new(NOW.parse().expect("a time")).expect("an authority")
    }

    fn unix(time: &str) -> UnixTime {
        let secs = time.parse::<jiff::Timestamp>().expect("a time").as_second();
        UnixTime::since_unix_epoch(Duration::from_secs(secs.unsigned_abs()))
    }

    fn known(
        authority: &certificates::Authority,
        records: Vec<Binding>,
    ) -> ClientCertificates<usize> {
        known_without(authority, records, &[])
    }

    fn known_without(
        authority: &certificates::Authority,
        records: Vec<Binding>,
        revoked: &[CertificateRevocationListDer<'static>],
    ) -> ClientCertificates<usize> {
        let der = CertificateDer::from(authority.pair().der.clone());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientCertificates::new(&[der], revoked, Arc::new(List(records)), provider)
            .expect("verifiers")
    }

    fn named(authority: &certificates::Authority, name: &str) -> Binding {
        Binding::AuthorityAndName {
            authority: Some(sha256(&authority.pair().der)),
            name: name.to_owned(),
        }
    }

    fn shown(authority: &certificates::Authority, uri: &str) -> Vec<CertificateDer<'static>> {
        vec![authority.client(uri, &[]).expect("a certificate").der.into()]
    }

    const PBX: &str = "sip:pbx.clinic.example";

    #[test]
    fn a_name_signed_by_the_records_authority_is_the_peer() {
        let ours = authority();
        let known = known(&ours, vec![named(&ours, "sip:other.example"), named(&ours, PBX)]);
        assert_eq!(known.look_up(&shown(&ours, PBX), unix(NOW)), Ok(Match::One(1)));
    }

    #[test]
    fn the_right_name_from_another_authority_is_as_none_even_when_expired() {
        let ours = authority();
        let known = known(&ours, vec![named(&ours, PBX)]);
        let foreign = shown(&authority(), PBX);
        assert_eq!(known.look_up(&foreign, unix(NOW)), Ok(Match::Nobody));
        assert_eq!(known.look_up(&foreign, unix("2036-01-01T00:00:00Z")), Ok(Match::Nobody));
    }

    #[test]
    fn an_expired_certificate_that_fits_a_record_fails_the_handshake() {
        let ours = authority();
        let known = known(&ours, vec![named(&ours, PBX)]);
        let chain = shown(&ours, PBX);
        assert_eq!(
            known.look_up(&chain, unix("2029-01-01T00:00:00Z")),
            Err(DoesNotHold::OutOfDate)
        );
        assert!(known.verify_client_cert(&chain[0], &[], unix("2029-01-01T00:00:00Z")).is_err());
        assert!(known.verify_client_cert(&chain[0], &[], unix(NOW)).is_ok());
    }

    #[test]
    fn a_key_hash_needs_no_authority_but_dates() {
        let foreign = shown(&authority(), "sip:phone@clinic.example");
        let hash = Identity::read(&foreign[0], End::Client).expect("readable").key_hash;
        let known = known(&authority(), vec![Binding::KeyHash(hash)]);
        assert_eq!(known.look_up(&foreign, unix(NOW)), Ok(Match::One(0)));
        assert_eq!(
            known.look_up(&foreign, unix("2036-01-01T00:00:00Z")),
            Err(DoesNotHold::OutOfDate)
        );
    }

    #[test]
    fn a_trunks_server_certificate_is_the_trunk_on_a_connection_of_ours() {
        let ours = authority();
        let known = known(&ours, vec![named(&ours, PBX)]);
        let chain = shown(&ours, PBX);
        assert_eq!(known.look_up_server(&chain, unix(NOW)), Ok(Match::One(0)));
        assert_eq!(known.look_up_server(&shown(&authority(), PBX), unix(NOW)), Ok(Match::Nobody));
        let late = unix("2029-01-01T00:00:00Z");
        assert_eq!(known.look_up_server(&chain, late), Err(DoesNotHold::OutOfDate));
    }

    #[test]
    fn a_certificate_that_fits_two_records_is_several() {
        let ours = authority();
        let known = known(&ours, vec![named(&ours, PBX), named(&ours, PBX)]);
        assert_eq!(known.look_up(&shown(&ours, PBX), unix(NOW)), Ok(Match::Several));
    }

    #[test]
    fn no_certificate_is_nobody() {
        assert_eq!(known(&authority(), Vec::new()).look_up(&[], unix(NOW)), Ok(Match::Nobody));
    }

    #[test]
    fn a_revoked_certificate_fails_the_handshake_where_it_fits_a_record_by_name_or_key() {
        let ours = authority();
        let (chain, other) = (shown(&ours, PBX), shown(&ours, "sip:other.example"));
        let list = ours.revoking(&[&chain[0]]).expect("a list");
        let name = known_without(&ours, vec![named(&ours, PBX)], std::slice::from_ref(&list));
        assert_eq!(name.look_up(&chain, unix(NOW)), Err(DoesNotHold::Revoked));
        assert!(matches!(
            name.verify_client_cert(&chain[0], &[], unix(NOW)),
            Err(rustls::Error::InvalidCertificate(CertificateError::Revoked))
        ));
        let hash = Identity::read(&chain[0], End::Client).expect("readable").key_hash;
        let key = known_without(&ours, vec![Binding::KeyHash(hash)], std::slice::from_ref(&list));
        assert_eq!(key.look_up(&chain, unix(NOW)), Err(DoesNotHold::Revoked));
        let stranger = known_without(&ours, Vec::new(), std::slice::from_ref(&list));
        assert_eq!(stranger.look_up(&chain, unix(NOW)), Ok(Match::Nobody), "as none");
        let fine = known_without(&ours, vec![named(&ours, "sip:other.example")], &[list]);
        assert_eq!(fine.look_up(&other, unix(NOW)), Ok(Match::One(0)));
    }

    #[test]
    fn the_list_of_another_authority_revokes_nothing_of_ours() {
        let (ours, theirs) = (authority(), authority());
        let chain = shown(&ours, PBX);
        let list = theirs.revoking(&[&chain[0]]).expect("a list");
        let known = known_without(&ours, vec![named(&ours, PBX)], &[list]);
        assert_eq!(known.look_up(&chain, unix(NOW)), Ok(Match::One(0)));
    }

    #[test]
    fn authorities_are_replaced_while_records_stay() {
        let (ours, new) = (authority(), authority());
        let any = Binding::AuthorityAndName { authority: None, name: PBX.to_owned() };
        let known = known(&ours, vec![any]);
        let chain = shown(&new, PBX);
        assert_eq!(known.look_up(&chain, unix(NOW)), Ok(Match::Nobody));
        let der = CertificateDer::from(new.pair().der.clone());
        known.set_authorities(known.prepare(&[der], &[]).expect("usable"));
        assert_eq!(known.look_up(&chain, unix(NOW)), Ok(Match::One(0)));
        assert_eq!(known.look_up(&shown(&ours, PBX), unix(NOW)), Ok(Match::Nobody));
    }
}
