//! The directory as the TLS listener asks it: which records a certificate may fit.

use std::sync::Arc;

use hushbox_store::directory::{CertificateOwner, Directory};

use crate::client_certificates::{Binding, Candidate, Records};
use crate::identity::Identity;

/// One directory's records of certificates.
#[derive(Debug)]
pub struct CertificateRecords(pub Arc<Directory>);

impl Records<CertificateOwner> for CertificateRecords {
    fn candidates(&self, identity: &Identity) -> Vec<Candidate<CertificateOwner>> {
        let by_key = self.0.certificate_by_key(&identity.key_hash);
        let mut candidates: Vec<_> = by_key
            .map(|peer| Candidate { peer, binding: Binding::KeyHash(identity.key_hash) })
            .into_iter()
            .collect();
        for name in &identity.names {
            for record in self.0.certificates_by_name(name) {
                let binding =
                    Binding::AuthorityAndName { authority: record.authority, name: name.clone() };
                candidates.push(Candidate { peer: record.owner, binding });
            }
        }
        candidates
    }
}
