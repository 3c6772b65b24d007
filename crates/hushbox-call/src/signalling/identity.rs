//! Who calls: a certificate, else digest, else (on `lab`) an address.

use hushbox_policy::{DeviceId, Now, Profile, TrunkId};
use hushbox_sip::{
    Algorithm, Authorization, CallIdHash, Elsewhere, Flow, Invite, Subscribe, Transport,
};
use hushbox_store::Directory;
use hushbox_store::keys::{DigestAlgorithm, DigestUser, NONCE_LEN, ServiceKey, WrappedKey};
use hushbox_store::model::Trunk;

use super::{Peer, Signalling, unix_secs};
use crate::setup::Caller;

impl Caller {
    /// A number that stands for it at the endpoint.
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Caller::Device(id) => Peer::Device(id).number(),
            Caller::Trunk(id) => Peer::Trunk(id).number(),
        }
    }
}

impl From<DigestUser> for Caller {
    fn from(user: DigestUser) -> Self {
        match user {
            DigestUser::Device(id) => Caller::Device(id),
            DigestUser::Trunk(id) => Caller::Trunk(id),
        }
    }
}

/// A connection: between which addresses, and whose it is.
pub(super) struct Connection {
    pub(super) flow: Flow,
    /// What its certificate says.
    pub(super) peer: Peer,
    /// Who has shown a password over it last. Each request shows it anew; with the password the connection goes.
    pub(super) shown: Option<Caller>,
}

impl Connection {
    /// Whether what its peer has shown is not in the directory any longer.
    pub(super) fn is_outdated(&self, before: &Directory, now: &Directory) -> bool {
        let by_certificate = match self.peer {
            Peer::Nobody | Peer::Ambiguous => false,
            Peer::Device(id) => {
                let certificate = |d: &Directory| d.device(id).map(|d| d.certificate.clone());
                certificate(before) != certificate(now)
            }
            Peer::Trunk(id) => {
                let certificate = |d: &Directory| d.trunk(id).map(|t| t.certificate.clone());
                certificate(before) != certificate(now)
            }
        };
        let by_digest = self.shown.is_some_and(|caller| match caller {
            Caller::Device(id) => {
                let secrets = |d: &Directory| {
                    let device = d.device(id)?;
                    let md5 = device.digest_md5.clone();
                    Some((device.digest_sha256.clone(), device.digest_sha512_256.clone(), md5))
                };
                secrets(before) != secrets(now)
            }
            Caller::Trunk(id) => {
                let secret = |d: &Directory| d.trunk(id).map(|trunk| trunk.digest_sha256.clone());
                secret(before) != secret(now)
            }
        });
        by_certificate || by_digest
    }
}

/// Opens the digest secrets of telephones and trunks.
pub(super) struct Secrets {
    key: ServiceKey,
    /// Opened for a user name that nobody has, or that has no secret of that algorithm.
    decoy: Option<WrappedKey>,
}

impl Secrets {
    /// Whose the decoy is.
    const NOBODY: DigestUser = DigestUser::Device(DeviceId::from_bytes([0; 16]));

    pub(super) fn new(key: ServiceKey, seed: &[u8; 32]) -> Self {
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&seed[..NONCE_LEN]);
        // As long as a real one.
        let (kind, ha1) = (DigestAlgorithm::Sha256, [0; 32]);
        let decoy = key.seal_digest_secret(Self::NOBODY, kind, &ha1, nonce).ok();
        Self { key, decoy }
    }

    /// A user's secret. Whoever it is asked for, one is opened: how long that takes says nothing of who there is.
    fn open(
        &self,
        directory: &Directory,
        user: Option<DigestUser>,
        algorithm: Algorithm,
        lab: bool,
    ) -> Option<Vec<u8>> {
        let kind = match algorithm {
            Algorithm::Sha256 => DigestAlgorithm::Sha256,
            Algorithm::Sha512_256 => DigestAlgorithm::Sha512_256,
            Algorithm::Md5 => DigestAlgorithm::Md5,
        };
        let may_be_used = kind != DigestAlgorithm::Md5 || lab;
        let found = user.filter(|_| may_be_used).and_then(|user| {
            let sealed = sealed(directory, user, kind)?;
            Some((user, kind, sealed))
        });
        let is_there = found.is_some();
        let decoy = || Some((Self::NOBODY, DigestAlgorithm::Sha256, self.decoy.as_ref()?));
        let (owner, kind, sealed) = found.or_else(decoy)?;
        let ha1 = self.key.open_digest_secret(owner, kind, sealed).ok()?;
        is_there.then(|| ha1.to_vec())
    }
}

/// What the directory has of a user's secret. A trunk's is for SHA-256 alone (design.md "Who may call").
fn sealed(directory: &Directory, user: DigestUser, kind: DigestAlgorithm) -> Option<&WrappedKey> {
    match user {
        DigestUser::Device(id) => {
            let device = directory.device(id)?;
            match kind {
                DigestAlgorithm::Sha256 => device.digest_sha256.as_ref(),
                DigestAlgorithm::Sha512_256 => device.digest_sha512_256.as_ref(),
                DigestAlgorithm::Md5 => device.digest_md5.as_ref(),
            }
        }
        DigestUser::Trunk(id) => match kind {
            DigestAlgorithm::Sha256 => directory.trunk(id)?.digest_sha256.as_ref(),
            DigestAlgorithm::Sha512_256 | DigestAlgorithm::Md5 => None,
        },
    }
}

/// What a request shows of who sends it.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) flow: Flow,
    pub(super) call_id_hash: CallIdHash,
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    pub(super) from_user: Option<&'a str>,
    pub(super) authorization: Option<&'a Authorization>,
}

impl<'a> From<&'a Invite> for Shown<'a> {
    fn from(invite: &'a Invite) -> Self {
        Self {
            flow: invite.flow,
            call_id_hash: invite.call_id_hash,
            method: "INVITE",
            uri: invite.request_uri.text(),
            from_user: invite.from_user.as_deref(),
            authorization: invite.authorization.as_ref(),
        }
    }
}

impl<'a> From<&'a Subscribe> for Shown<'a> {
    fn from(subscribe: &'a Subscribe) -> Self {
        Self { method: "SUBSCRIBE", ..Shown::from(&subscribe.request) }
    }
}

impl<'a> From<&'a Elsewhere> for Shown<'a> {
    fn from(request: &'a Elsewhere) -> Self {
        Self {
            flow: request.flow,
            call_id_hash: request.call_id_hash,
            method: &request.method,
            uri: request.request_uri.text(),
            // Inside a dialog From tells nothing new.
            from_user: None,
            authorization: request.authorization.as_ref(),
        }
    }
}

/// Whether it is known who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is.
    Known(Caller),
    /// Nobody knows: challenge.
    Stranger,
    /// The nonce is old: challenge, count nothing.
    Stale,
    /// The credentials are wrong: challenge and count.
    Wrong,
    /// The certificate fits two records.
    Ambiguous,
}

/// What is offered where: MD5 on `lab` listeners alone (RFC 8760, protocols.md "7616/8760 digest").
pub(super) fn algorithms(transport: Transport) -> &'static [Algorithm] {
    match transport {
        Transport::Tls => &[Algorithm::Sha256, Algorithm::Sha512_256],
        Transport::Udp | Transport::Tcp => {
            &[Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5]
        }
    }
}

impl Signalling {
    /// Judges a request by what it came over.
    pub(super) fn identify(&mut self, now: Now, shown: Shown<'_>) -> Verdict {
        match shown.flow.transport {
            Transport::Tls => self.identify_on_tls(now, shown),
            Transport::Udp | Transport::Tcp => self.identify_on_lab(now, shown),
        }
    }

    /// Whether a caller can show by digest who it is, on this transport.
    pub(super) fn uses_digest(&self, caller: Caller, transport: Transport) -> bool {
        let lab = transport != Transport::Tls;
        match caller {
            Caller::Device(id) => self.directory.device(id).is_some_and(|device| {
                let md5 = lab && device.digest_md5.is_some();
                let has_secret = device.digest_sha256.is_some() || md5;
                has_secret && self.digest_user(&device.username, lab).is_some()
            }),
            Caller::Trunk(_) => !lab && self.is_by_digest(caller),
        }
    }

    /// Whether it is a PBX of which nothing is known but its password: it leaves messages and does nothing else
    /// (design.md "Who may call").
    pub(super) fn is_by_digest(&self, caller: Caller) -> bool {
        caller.trunk().and_then(|id| self.directory.trunk(id)).is_some_and(Trunk::is_by_digest)
    }

    fn identify_on_tls(&mut self, now: Now, shown: Shown<'_>) -> Verdict {
        match self.connection(shown.flow).map_or(Peer::Nobody, |connection| connection.peer) {
            // The record may have gone since the handshake.
            Peer::Device(id) if self.directory.device(id).is_some() => {
                Verdict::Known(Caller::Device(id))
            }
            Peer::Trunk(id) if self.directory.trunk(id).is_some() => {
                Verdict::Known(Caller::Trunk(id))
            }
            Peer::Ambiguous => Verdict::Ambiguous,
            Peer::Nobody | Peer::Device(_) | Peer::Trunk(_) => match shown.authorization {
                Some(authorization) => match self.check_digest(now, shown, authorization) {
                    // For another server: as without credentials.
                    (hushbox_sip::Verdict::NotOurs, _) => Verdict::Stranger,
                    judged => verdict(judged),
                },
                None => Verdict::Stranger,
            },
        }
    }

    fn identify_on_lab(&mut self, now: Now, shown: Shown<'_>) -> Verdict {
        if let Some(authorization) = shown.authorization {
            // One that is not valid gets 401, also where the address is a trunk's.
            return match self.check_digest(now, shown, authorization) {
                (hushbox_sip::Verdict::NotOurs, _) => Verdict::Stranger,
                judged => verdict(judged),
            };
        }
        // The trial's addresses are a trunk: a telephone there is asked first, by the name it gives itself.
        if shown.from_user.and_then(|user| self.digest_user(user, true)).is_some() {
            return Verdict::Stranger;
        }
        // On a socket of both families an IPv4 peer has an IPv6 address around its own.
        match self.directory.trunk_by_lab_address(shown.flow.remote.ip().to_canonical()) {
            Some(trunk) => Verdict::Known(Caller::Trunk(trunk.id)),
            None => Verdict::Stranger,
        }
    }

    fn check_digest(
        &mut self,
        now: Now,
        shown: Shown<'_>,
        authorization: &Authorization,
    ) -> (hushbox_sip::Verdict, Option<DigestUser>) {
        let lab = shown.flow.transport != Transport::Tls;
        let user = self.digest_user(authorization.username(), lab);
        let secret = |algorithm| self.secrets.open(&self.directory, user, algorithm, lab);
        let judged = self.authenticator.check(
            unix_secs(now),
            authorization,
            shown.method,
            shown.uri,
            secret,
        );
        if judged == hushbox_sip::Verdict::Valid
            && let Some(id) = shown.flow.connection
            && let Some(connection) = self.connections.get_mut(&id)
        {
            connection.shown = user.map(Caller::from);
        }
        (judged, user)
    }

    pub(super) fn connection(&self, flow: Flow) -> Option<&Connection> {
        self.connections.get(&flow.connection?)
    }

    /// The PBX whose requests come this way, where that is known.
    pub(super) fn trunk_at(&self, flow: Flow) -> Option<TrunkId> {
        let connection = self.connection(flow);
        let of_connection = connection.and_then(|c| c.shown.or_else(|| Caller::of_peer(c.peer)));
        match (of_connection, flow.transport) {
            (Some(caller), _) => caller.trunk(),
            (None, Transport::Tls) => None,
            (None, Transport::Udp | Transport::Tcp) => {
                let ip = flow.remote.ip().to_canonical();
                self.directory.trunk_by_lab_address(ip).map(|trunk| trunk.id)
            }
        }
    }

    /// Whose a digest user name is, if they exist on this kind of listener: a trunk's password is for TLS.
    fn digest_user(&self, username: &str, lab: bool) -> Option<DigestUser> {
        let user = self.directory.digest_user(username)?;
        let is_here = match user {
            DigestUser::Device(id) => {
                let account = self.directory.account(self.directory.device(id)?.account)?;
                !lab || account.profile == Profile::Standard
            }
            DigestUser::Trunk(_) => !lab,
        };
        is_here.then_some(user)
    }
}

fn verdict((judged, user): (hushbox_sip::Verdict, Option<DigestUser>)) -> Verdict {
    match (judged, user) {
        (hushbox_sip::Verdict::Valid, Some(user)) => Verdict::Known(user.into()),
        (hushbox_sip::Verdict::Stale, _) => Verdict::Stale,
        (hushbox_sip::Verdict::Valid | hushbox_sip::Verdict::Wrong, _) => Verdict::Wrong,
        (hushbox_sip::Verdict::NotOurs, _) => Verdict::Stranger,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{directory, service_key};

    #[test]
    fn only_ones_own_secret_is_given_and_for_everybody_else_a_decoy_is_opened() {
        let secrets = Secrets::new(service_key(), &[7; 32]);
        let directory = directory();
        let open = |user, algorithm| {
            let user = directory.digest_user(user);
            secrets.open(&directory, user, algorithm, false).map(|ha1| ha1.len())
        };
        assert_eq!(open("c7001", Algorithm::Sha256), Some(32));
        assert_eq!(open("c7001", Algorithm::Md5), None, "not over TLS");
        assert_eq!(open("hosted", Algorithm::Sha256), Some(32));
        assert_eq!(open("hosted", Algorithm::Sha512_256), None, "a trunk's is for SHA-256");
        assert_eq!(open("nobody", Algorithm::Sha256), None);
        let decoy = secrets.decoy.as_ref().expect("sealed");
        let kind = DigestAlgorithm::Sha256;
        assert!(secrets.key.open_digest_secret(Secrets::NOBODY, kind, decoy).is_ok());
    }
}
