//! `[[registration]]`: the PBXs that Hushbox is an extension of.

use std::path::PathBuf;
use std::time::Duration;

use hushbox_sip::message::uri::Scheme;
use hushbox_sip::resolution::Target;
use hushbox_sip::{OwnedUri, Transport};

use super::raw::{self, Located, Raw};
use super::resolve::Resolver;
use crate::limits;

/// One registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The line of its heading.
    pub line: usize,
    /// What is registered.
    pub address: OwnedUri,
    /// Where its registrar, or the proxy before it, is.
    pub target: Target,
    /// The outbound proxy as a Route value.
    pub route: Option<String>,
    /// The digest user name.
    pub username: String,
    /// The file whose first line is the password.
    pub password_file: PathBuf,
    /// The user part of the Contact.
    pub contact_user: String,
    /// How long a registration is to last.
    pub expires: Duration,
    /// How often the connection is asked whether it is still there.
    pub keep_alive: Duration,
    /// Whether MD5 is answered.
    pub allow_md5: bool,
}

impl Resolver<'_> {
    pub(super) fn registrations(&mut self, raw: &Raw) -> Vec<Registration> {
        if let Some(beyond) = raw.registrations.get(limits::REGISTRATIONS_MAX) {
            let max = limits::REGISTRATIONS_MAX;
            self.wrong(Some(beyond.line), "registration", format!("there are more than {max}"));
        }
        raw.registrations.iter().filter_map(|one| self.registration(raw, one)).collect()
    }

    /// One that can be meant; what is wrong with it is noted either way.
    fn registration(&mut self, raw: &Raw, one: &raw::Registration) -> Option<Registration> {
        let address = self.address_of_record(one);
        let proxy = self.uri("registration.outbound_proxy", &one.outbound_proxy);
        let registrar = self.uri("registration.registrar", &one.registrar);
        let password_file = one.password_file.as_ref().map(|path| self.folder.join(&path.value));
        if password_file.is_none() {
            let message = "is missing: a file whose first line is the password";
            self.wrong(Some(one.line), "registration.password_file", message);
        }
        let allow_md5 = one.allow_md5.as_ref().is_some_and(|allow| allow.value);
        let expires =
            self.seconds("registration.expires_secs", &one.expires_secs, 60..=86_400, 3_600);
        let keep_alive =
            self.seconds("registration.keep_alive_secs", &one.keep_alive_secs, 10..=3_600, 120);
        let contact_user = self.contact_user(one);
        let address = address?;
        let user = address.user().unwrap_or_default().to_owned();
        let domain = OwnedUri::parse(&format!("sip:{}", bracketed(address.host()))).ok()?;
        let target = Target::of(proxy.as_ref().or(registrar.as_ref()).unwrap_or(&domain))?;
        self.check_transport(raw, one, &target);
        let route = proxy.map(|proxy| match proxy.param("lr") {
            Some(_) => format!("<{}>", proxy.text()),
            None => format!("<{};lr>", proxy.text()),
        });
        Some(Registration {
            line: one.line,
            target,
            route,
            username: one.username.as_ref().map_or_else(|| user.clone(), |u| u.value.clone()),
            password_file: password_file?,
            contact_user: contact_user.unwrap_or(user),
            expires,
            keep_alive,
            allow_md5,
            address,
        })
    }

    fn address_of_record(&mut self, one: &raw::Registration) -> Option<OwnedUri> {
        const KEY: &str = "registration.address";
        let Some(text) = &one.address else {
            self.wrong(Some(one.line), KEY, "is missing: write sip:EXTENSION@DOMAIN");
            return None;
        };
        let uri = OwnedUri::parse(&text.value).ok();
        let uri = uri.filter(|uri| uri.scheme() == Scheme::Sip && uri.user().is_some());
        if uri.is_none() {
            self.wrong(Some(text.line), KEY, "is not of the form sip:EXTENSION@DOMAIN");
        }
        uri
    }

    fn uri(&mut self, key: &str, text: &Option<Located<String>>) -> Option<OwnedUri> {
        let text = text.as_ref()?;
        let uri = OwnedUri::parse(&text.value).ok();
        let uri = uri.filter(|uri| Target::of(uri).is_some());
        if uri.is_none() {
            let message =
                "is not a SIP URI by tls, tcp or udp, as in sip:pbx.example.org:5061;transport=tls";
            self.wrong(Some(text.line), key, message);
        }
        uri
    }

    fn contact_user(&mut self, one: &raw::Registration) -> Option<String> {
        let text = one.contact_user.as_ref()?;
        let uri = OwnedUri::parse(&format!("sip:{}@host", text.value)).ok();
        if uri.is_none_or(|uri| uri.host() != "host") {
            let message = "cannot stand before the @ of a SIP URI";
            self.wrong(Some(text.line), "registration.contact_user", message);
        }
        Some(text.value.clone())
    }

    /// What is sent needs a listener of the same kind: what comes back finds it.
    fn check_transport(&mut self, raw: &Raw, one: &raw::Registration, target: &Target) {
        let named = [&one.outbound_proxy, &one.registrar].into_iter().flatten().next();
        let line = named.map_or(one.line, |at| at.line);
        let (listener, key) = match target.transport() {
            None | Some(Transport::Tls) => (&raw.listen.tls, "tls"),
            Some(Transport::Tcp) => (&raw.listen.lab_tcp, "lab_tcp"),
            Some(Transport::Udp) => (&raw.listen.lab_udp, "lab_udp"),
        };
        if listener.is_none() {
            let message = format!("needs listen.{key}: the PBX calls there");
            self.wrong(Some(line), "registration.registrar", message);
        }
        if let Some(allow) = one.allow_md5.as_ref().filter(|allow| allow.value)
            && matches!(target.transport(), Some(Transport::Tcp | Transport::Udp))
        {
            let message = "MD5 is answered over TLS only";
            self.wrong(Some(allow.line), "registration.allow_md5", message);
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
