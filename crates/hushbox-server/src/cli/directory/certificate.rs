//! Certificates as options name them, for the server: hashes are taken here, so files stay where they are.

use std::path::Path;

use super::super::Failure;
use super::args::CertificateArgs;
use crate::client_certificates::sha256;
use crate::control::directory::Certificate;
use crate::identity::{End, Identity};
use crate::tls;

pub(super) fn binding(args: CertificateArgs, none: bool) -> Result<Option<Certificate>, Failure> {
    let CertificateArgs { cert, key_hash, san, ca } = args;
    if none {
        return Ok(Some(Certificate::None));
    }
    if let Some(file) = cert {
        let identity = Identity::read(&first(&file)?, End::Client)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        return Ok(Some(Certificate::KeyHash(hex::encode(identity.key_hash))));
    }
    if let Some(hash) = key_hash {
        return Ok(Some(Certificate::KeyHash(hash)));
    }
    let Some(name) = san else { return Ok(None) };
    let authority = ca.map(|file| Ok::<_, Failure>(hex::encode(sha256(&first(&file)?))));
    Ok(Some(Certificate::Name { authority: authority.transpose()?, name }))
}

/// The first certificate of a PEM file, as DER.
fn first(file: &Path) -> Result<Vec<u8>, Failure> {
    let chain = tls::certificates(file)?;
    let first = chain.first().ok_or_else(|| format!("{}: no certificate in it", file.display()))?;
    Ok(first.to_vec())
}
