//! `target` and `cause` in the URI of a voicemail server (RFC 4458 §2, RFC 8119 §2).

use super::Unreadable;
use crate::invite::OwnedUri;
use crate::message::lex;
use crate::message::uri::Scheme;

/// What a URI says to a voicemail server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoicemailUri {
    /// Whose mailbox.
    pub target: Option<Result<Target, Unreadable>>,
    /// Why the call came to it: a SIP status (RFC 4458 §2.2).
    pub cause: Option<u16>,
}

/// Whose mailbox: an address, or a bare number as some PBXs write it.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    user: String,
    host: String,
}

impl Target {
    /// The user part, escapes resolved; of `tel:`, the number without separators.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The host in lower case; empty for `tel:` and bare numbers.
    pub fn host(&self) -> &str {
        &self.host
    }

    fn parse(text: &str) -> Result<Self, Unreadable> {
        // RFC 4458's own examples write `bob%40example.com`, without a scheme.
        let bare = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.*_@".contains(&b));
        let uri = match OwnedUri::parse(text) {
            Ok(uri) if uri.scheme() != Scheme::Other => uri,
            _ if bare && text.contains('@') => {
                OwnedUri::parse(&format!("sip:{text}")).map_err(|_| Unreadable)?
            }
            _ if bare && !text.is_empty() => {
                return Ok(Target { user: text.to_owned(), host: String::new() });
            }
            _ => return Err(Unreadable),
        };
        let user = uri.user().ok_or(Unreadable)?.to_owned();
        Ok(Target { user, host: uri.host().to_owned() })
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Target(…)")
    }
}

impl VoicemailUri {
    /// What this URI says.
    pub fn of(uri: &OwnedUri) -> Self {
        VoicemailUri {
            // The value is escaped once as a parameter of this URI; what it holds is a URI with
            // escapes of its own.
            target: uri.param("target").map(|text| Target::parse(&text)),
            cause: uri
                .param("cause")
                .and_then(|text| lex::number(text.as_bytes(), 699))
                .and_then(|cause| u16::try_from(cause).ok())
                .filter(|cause| *cause >= 100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let uri = OwnedUri::parse(text).expect("a URI");
        let said = VoicemailUri::of(&uri);
        let target = match said.target {
            Some(Ok(target)) => format!("{}@{}", target.user(), target.host()),
            Some(Err(Unreadable)) => "unreadable".to_owned(),
            None => "none".to_owned(),
        };
        format!("{target} {:?}", said.cause.unwrap_or(0))
    }

    #[test]
    fn target_and_cause_are_read_with_their_escapes() {
        for (uri, expected) in [
            // RFC 4458 §6, and §5 with more of a URI.
            ("sip:voicemail@example.com;target=bob%40example.com;cause=486", "bob@example.com 486"),
            (
                "sip:voicemail@example.com;target=sip:+15555551002%40example.com;user=phone;cause=486",
                "+15555551002@example.com 486",
            ),
            ("sip:vm@h;TARGET=sip%3A1001%40Clinic.Example;Cause=408", "1001@clinic.example 408"),
            ("sip:vm@h;target=sip%3a%2531001%40h%3buser%3dphone", "1001@h 0"),
            ("sip:vm@h;target=tel:+1-555-555-1001;cause=302", "+15555551001@ 302"),
            ("sip:vm@h;target=tel%3A1001%3Bphone-context%3Dclinic.example", "1001@ 0"),
            ("sip:h;target=1001;cause=404", "1001@ 404"),
            ("sip:vm@h;target=%2B15555551001", "+15555551001@ 0"),
            ("sip:vm@h;target=sip:clinic.example", "unreadable 0"),
            ("sip:vm@h;target=http:%2F%2Fh", "unreadable 0"),
            ("sip:vm@h;target;cause=busy", "unreadable 0"),
            ("sip:vm@h;cause=99999", "none 0"),
            ("sip:vm@h;cause=17", "none 0"),
            ("sip:vm@h", "none 0"),
            ("tel:+15555551001;cause=486", "none 486"),
        ] {
            assert_eq!(read(uri), expected, "{uri}");
        }
        // RFC 3261 §25.1: an '@' that is not escaped belongs to the URI around it.
        assert!(OwnedUri::parse("sip:vm@h;target=sip:bob@h").is_err());
    }
}
