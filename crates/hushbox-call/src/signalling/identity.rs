//! Who calls: a certificate, else digest, else (on `lab`) an address.

use hushbox_policy::{DeviceId, Now, Profile, TrunkId};
use hushbox_sip::{Algorithm, Authorization, Invite, Transport};
use hushbox_store::keys::DigestAlgorithm;

use super::{Peer, Signalling, unix_secs};

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A telephone.
    Device(DeviceId),
    /// A PBX.
    Trunk(TrunkId),
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
        Transport::Tls => &[Algorithm::Sha256],
        Transport::Udp | Transport::Tcp => &[Algorithm::Sha256, Algorithm::Md5],
    }
}

impl Signalling {
    /// Judges an INVITE by what it came over.
    pub(super) fn identify(&mut self, now: Now, invite: &Invite, peer: Peer) -> Verdict {
        match invite.flow.transport {
            Transport::Tls => self.identify_on_tls(now, invite, peer),
            Transport::Udp | Transport::Tcp => self.identify_on_lab(now, invite),
        }
    }

    fn identify_on_tls(&mut self, now: Now, invite: &Invite, peer: Peer) -> Verdict {
        match peer {
            // The record may have gone since the handshake.
            Peer::Device(id) if self.directory.device(id).is_some() => {
                Verdict::Known(Caller::Device(id))
            }
            Peer::Trunk(id) if self.directory.trunk(id).is_some() => {
                Verdict::Known(Caller::Trunk(id))
            }
            Peer::Ambiguous => Verdict::Ambiguous,
            Peer::Nobody | Peer::Device(_) | Peer::Trunk(_) => match &invite.authorization {
                Some(authorization) => match self.check_digest(now, invite, authorization) {
                    // For another server: as without credentials.
                    (hushbox_sip::Verdict::NotOurs, _) => Verdict::Stranger,
                    judged => verdict(judged),
                },
                None => Verdict::Stranger,
            },
        }
    }

    fn identify_on_lab(&mut self, now: Now, invite: &Invite) -> Verdict {
        if let Some(authorization) = &invite.authorization {
            // One that is not valid gets 401, also where the address is a trunk's.
            return match self.check_digest(now, invite, authorization) {
                (hushbox_sip::Verdict::NotOurs, _) => Verdict::Stranger,
                judged => verdict(judged),
            };
        }
        // The trial's addresses are a trunk: a telephone there is asked first, by the name it gives itself.
        let from = invite.from_user.as_deref();
        if from.and_then(|user| self.digest_device(user, true)).is_some() {
            return Verdict::Stranger;
        }
        match self.directory.trunk_by_lab_address(invite.flow.remote.ip()) {
            Some(trunk) => Verdict::Known(Caller::Trunk(trunk.id)),
            None => Verdict::Stranger,
        }
    }

    fn check_digest(
        &mut self,
        now: Now,
        invite: &Invite,
        authorization: &Authorization,
    ) -> (hushbox_sip::Verdict, Option<DeviceId>) {
        let lab = invite.flow.transport != Transport::Tls;
        let device = self.digest_device(authorization.username(), lab);
        let secret = |algorithm: Algorithm| {
            let device = self.directory.device(device?)?;
            let (kind, sealed) = match algorithm {
                Algorithm::Sha256 => (DigestAlgorithm::Sha256, device.digest_sha256.as_ref()?),
                Algorithm::Md5 if lab => (DigestAlgorithm::Md5, device.digest_md5.as_ref()?),
                Algorithm::Md5 | Algorithm::Sha512_256 => return None,
            };
            let ha1 = self.service_key.open_digest_secret(device.id, kind, sealed).ok()?;
            Some(ha1.to_vec())
        };
        let judged = self.authenticator.check(
            unix_secs(now),
            authorization,
            "INVITE",
            invite.request_uri.text(),
            secret,
        );
        (judged, device)
    }

    /// The device of a digest user name, if it exists on this kind of listener.
    fn digest_device(&self, username: &str, lab: bool) -> Option<DeviceId> {
        let device = self.directory.device_by_username(username)?;
        let account = self.directory.account(device.account)?;
        (!lab || account.profile == Profile::Standard).then_some(device.id)
    }
}

fn verdict((judged, device): (hushbox_sip::Verdict, Option<DeviceId>)) -> Verdict {
    match (judged, device) {
        (hushbox_sip::Verdict::Valid, Some(device)) => Verdict::Known(Caller::Device(device)),
        (hushbox_sip::Verdict::Stale, _) => Verdict::Stale,
        (hushbox_sip::Verdict::Valid | hushbox_sip::Verdict::Wrong, _) => Verdict::Wrong,
        (hushbox_sip::Verdict::NotOurs, _) => Verdict::Stranger,
    }
}
