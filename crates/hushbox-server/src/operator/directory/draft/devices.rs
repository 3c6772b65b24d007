//! Devices and trunks: whom they are bound to, and how they prove themselves.

use hushbox_policy::{Addressing, Binding, DeviceId, RecordKind, TrunkId};
use hushbox_store::directory::Edit;
use hushbox_store::keys::{DigestAlgorithm, DigestUser};
use hushbox_store::model::{CertificateBinding, Device, Entity, Trunk};

use super::{Draft, Drafted, Drafter, Verb, host, needed, new_id, unknown, word};
use crate::control::directory::{
    Bound, CallsMax, Certificate, DeviceFields, Password, TrunkFields, TrunkPassword, Unasked,
};
use crate::digest_secret::NewPassword;

/// Whose certificate it is: their names differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Device,
    Trunk,
}

impl Drafter<'_> {
    pub(super) fn device(&self, fields: DeviceFields, add: bool, draft: &mut Draft) -> Drafted<()> {
        let known = self.directory.device_by_username(&fields.username);
        let bound = fields.bound.map(|bound| self.bound(bound)).transpose()?;
        let mut device = match self.verb(add, known, RecordKind::Device, &fields.username)? {
            Verb::Set(device) => device.clone(),
            Verb::Add => Device {
                id: new_id!(DeviceId, self.now),
                account: self.by.account,
                username: word(&fields.username, "USERNAME")?,
                bound: needed(bound.clone(), "--person or --mailbox")?,
                digest_sha256: None,
                digest_sha512_256: None,
                digest_md5: None,
                certificate: None,
            },
        };
        if let Some(bound) = bound {
            device.bound = bound;
        }
        match fields.password {
            None => {}
            Some(Password::None) => {
                device.digest_sha256 = None;
                device.digest_sha512_256 = None;
                device.digest_md5 = None;
            }
            Some(Password::New { md5 }) => self.new_password(&mut device, md5, draft)?,
        }
        if let Some(certificate) = fields.certificate {
            device.certificate = binding(certificate, Holder::Device)?;
        }
        if device.certificate.is_none() && device.digest_sha256.is_none() {
            return Err(unknown("a device needs a password or a certificate".to_owned()));
        }
        draft.edits.push(Edit::put(Entity::Device(device)));
        Ok(())
    }

    fn bound(&self, bound: Bound) -> Drafted<Binding> {
        match bound {
            Bound::Persons(names) => {
                let persons = names.iter().map(|name| Ok(self.person_named(name)?.id));
                Ok(Binding::Persons(persons.collect::<Drafted<_>>()?))
            }
            Bound::Mailbox(name) => Ok(Binding::Mailbox(self.mailbox_named(&name)?.id)),
        }
    }

    fn new_password(&self, device: &mut Device, md5: bool, draft: &mut Draft) -> Drafted<()> {
        let user = DigestUser::Device(device.id);
        let password = NewPassword::make(user, &device.username, self.realm);
        let sealed = |algorithm| password.seal(&self.keys.service, algorithm).map(Some);
        device.digest_sha256 = sealed(DigestAlgorithm::Sha256)?;
        device.digest_sha512_256 = sealed(DigestAlgorithm::Sha512_256)?;
        device.digest_md5 = if md5 { sealed(DigestAlgorithm::Md5)? } else { None };
        draft.show(password);
        Ok(())
    }

    pub(super) fn trunk(&self, fields: TrunkFields, add: bool, draft: &mut Draft) -> Drafted<()> {
        let known = self.directory.trunk_by_name(&fields.name);
        let mut trunk = match self.verb(add, known, RecordKind::Trunk, &fields.name)? {
            Verb::Set(trunk) => trunk.clone(),
            Verb::Add => Trunk {
                id: new_id!(TrunkId, self.now),
                name: word(&fields.name, "NAME")?,
                certificate: None,
                digest_sha256: None,
                accounts: Vec::new(),
                lab_addresses: Vec::new(),
                addressing: Addressing::default(),
                calls_max: None,
                mwi: None,
            },
        };
        if let Some(certificate) = fields.certificate {
            trunk.certificate = binding(certificate, Holder::Trunk)?;
        }
        match fields.password {
            None => {}
            Some(TrunkPassword::None) => trunk.digest_sha256 = None,
            Some(TrunkPassword::New) => {
                let user = DigestUser::Trunk(trunk.id);
                let password = NewPassword::make(user, &trunk.name, self.realm);
                let sealed = password.seal(&self.keys.service, DigestAlgorithm::Sha256)?;
                trunk.digest_sha256 = Some(sealed);
                trunk.addressing.trusted.clear();
                draft.show(password);
            }
        }
        if let Some(accounts) = fields.accounts {
            let accounts = accounts.iter().map(|name| Ok(self.account_named(name)?.id));
            trunk.accounts = accounts.collect::<Drafted<_>>()?;
        }
        if let Some(addresses) = fields.lab_addresses {
            trunk.lab_addresses = addresses;
        }
        if trunk.certificate.is_none()
            && trunk.lab_addresses.is_empty()
            && trunk.digest_sha256.is_none()
        {
            let missing = "nothing would prove this trunk: --cert, --key-hash, --san, --lab-address, or --new-password";
            return Err(unknown(missing.to_owned()));
        }
        self.addressing(fields.addressing, &mut trunk.addressing)?;
        match fields.calls_max {
            Some(CallsMax::Calls(calls)) => trunk.calls_max = Some(calls),
            Some(CallsMax::None) => trunk.calls_max = None,
            None => {}
        }
        match fields.mwi {
            Some(Unasked::To(target)) => trunk.mwi = Some(target),
            Some(Unasked::Never) => trunk.mwi = None,
            None => {}
        }
        draft.edits.push(Edit::put(Entity::Trunk(trunk)));
        Ok(())
    }
}

fn binding(certificate: Certificate, holder: Holder) -> Drafted<Option<CertificateBinding>> {
    match certificate {
        Certificate::None => Ok(None),
        Certificate::KeyHash(hash) => Ok(Some(CertificateBinding::KeyHash(sha256(&hash)?))),
        Certificate::Name { authority, name } => {
            let authority = authority.as_deref().map(sha256).transpose()?;
            let name = name_of(&name, holder)?;
            Ok(Some(CertificateBinding::AuthorityAndName { authority, name }))
        }
    }
}

fn sha256(text: &str) -> Drafted<[u8; 32]> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash)
        .map_err(|_| unknown("a hash is 64 hexadecimal digits (SHA-256)".to_owned()))?;
    Ok(hash)
}

/// A certificate's name as records have it: `sip:user@domain` for a device, `sip:domain` or `dns:name` for a trunk.
fn name_of(text: &str, holder: Holder) -> Drafted<String> {
    let wrong = |wanted: &str| Err(unknown(format!("--san {text:?}: {wanted} is expected")));
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    match (scheme, holder, rest.split_once('@')) {
        ("sip", Holder::Device, Some((user, domain))) => {
            Ok(format!("sip:{}@{}", word(user, "--san")?, host(domain, "--san")?))
        }
        ("sip" | "dns", Holder::Trunk, None) => Ok(format!("{scheme}:{}", host(rest, "--san")?)),
        (_, Holder::Device, _) => wrong("sip:USER@DOMAIN"),
        (_, Holder::Trunk, _) => wrong("sip:DOMAIN or dns:NAME"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunks_name_has_no_user_and_a_devices_has_one() {
        let name = |text, holder| name_of(text, holder).ok();
        assert_eq!(name("sip:PBX.example", Holder::Trunk).as_deref(), Some("sip:pbx.example"));
        assert_eq!(name("dns:pbx.example", Holder::Trunk).as_deref(), Some("dns:pbx.example"));
        assert_eq!(
            name("sip:Phone@Clinic.example", Holder::Device).as_deref(),
            Some("sip:Phone@clinic.example")
        );
        for (text, holder) in [
            ("sip:a@pbx.example", Holder::Trunk),
            ("sip:clinic.example", Holder::Device),
            ("dns:phone.example", Holder::Device),
            ("pbx.example", Holder::Trunk),
            ("sip:", Holder::Trunk),
        ] {
            assert_eq!(name(text, holder), None, "{text}");
        }
    }
}
