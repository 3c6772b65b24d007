//! An INVITE as the application sees it: owned, and silent about its content in every `Debug`.

use crate::auth::Authorization;
use crate::error::ParseError;
use crate::message::uri::{Scheme, Uri};
use crate::message::{Message, lex};
use crate::rejection::Rejection;
use crate::transport::Flow;
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;

/// An initial INVITE that passed every check that needs no identity.
pub struct Invite {
    /// What it came over.
    pub flow: Flow,
    /// The Request-URI.
    pub request_uri: OwnedUri,
    /// The user part of From's URI, unescaped.
    pub from_user: Option<String>,
    /// From's display name, without quotes.
    pub from_display: Option<String>,
    /// The user part of To's URI, unescaped.
    pub to_user: Option<String>,
    /// Stands for the Call-ID in logs.
    pub call_id_hash: CallIdHash,
    /// The best Digest credentials in it.
    pub authorization: Option<Authorization>,
    /// Option tags of Require that we do not know (RFC 3261 §8.2.2.3).
    pub unsupported: Vec<String>,
    /// Whether an Accept header field leaves us nothing to answer with (RFC 4475 §3.3.15).
    pub refuses_sdp: bool,
    /// Whether the session interval that it asks for is too short (RFC 4028 §9).
    pub interval_too_short: bool,
    /// Whether it would take the place of another call (RFC 3891).
    pub replaces: bool,
    /// Whether it came from a neighbour that keeps calls to itself when it is asked to (RFC 7339).
    pub restrains_itself: bool,
    /// The body.
    pub body: InviteBody,
    /// Every header field as it came.
    pub headers: Headers,
}

impl Invite {
    /// An INVITE without a body, as a start for tests and simulations.
    pub fn new(flow: Flow, request_uri: OwnedUri) -> Self {
        Invite {
            flow,
            request_uri,
            from_user: None,
            from_display: None,
            to_user: None,
            call_id_hash: CallIdHash(0),
            authorization: None,
            unsupported: Vec::new(),
            refuses_sdp: false,
            interval_too_short: false,
            replaces: false,
            restrains_itself: false,
            body: InviteBody::None,
            headers: Headers::default(),
        }
    }

    /// What must be refused once the caller is known and the mailbox found (RFC 3261 §8.2.2.3,
    /// §8.2.3): asked later, so that a stranger learns nothing by it.
    pub fn after_authentication(&self) -> Option<Rejection> {
        if !self.unsupported.is_empty() {
            let tags = self.unsupported.join(", ");
            return Some(Rejection::new(420).with_header("Unsupported", &tags));
        }
        // RFC 3891 §3: no call of ours can be replaced, and a second one must not begin.
        if self.replaces {
            return Some(Rejection::new(481));
        }
        if self.interval_too_short {
            let min = crate::limits::MIN_SESSION_EXPIRES_SECS.to_string();
            return Some(Rejection::new(422).with_header("Min-SE", &min));
        }
        if matches!(self.body, InviteBody::Unsupported) {
            return Some(Rejection::unsupported_body());
        }
        if self.refuses_sdp {
            return Some(Rejection::new(406).with_warning(399, "Only application/sdp is served"));
        }
        None
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite")
            .field("transport", &self.flow.transport)
            .field("call_id_hash", &self.call_id_hash)
            .field("authorization", &self.authorization.is_some())
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// A request inside a dialog whose sender is still to be known.
pub struct Elsewhere {
    /// What it came over.
    pub flow: Flow,
    /// Stands for its Call-ID in logs.
    pub call_id_hash: CallIdHash,
    /// Its method.
    pub method: String,
    /// Its Request-URI.
    pub request_uri: OwnedUri,
    /// The best Digest credentials in it.
    pub authorization: Option<Authorization>,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elsewhere")
            .field("transport", &self.flow.transport)
            .field("method", &self.method)
            .field("authorization", &self.authorization.is_some())
            .finish_non_exhaustive()
    }
}

/// The body of an INVITE, an ACK or an UPDATE.
#[derive(Clone, PartialEq, Eq)]
pub enum InviteBody {
    /// There is none, or none that has to be understood.
    None,
    /// A session description, alone or out of a multipart body.
    Sdp(Bytes),
    /// Something that must be understood and is not: 415.
    Unsupported,
}

impl fmt::Debug for InviteBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InviteBody::None => "None",
            InviteBody::Sdp(_) => "Sdp(…)",
            InviteBody::Unsupported => "Unsupported",
        })
    }
}

/// A keyed hash of a Call-ID: the same for one call, useless to who does not have the Call-ID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallIdHash(pub u64);

impl fmt::Display for CallIdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for CallIdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A URI that outlives its message.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedUri {
    text: String,
    scheme: Scheme,
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl OwnedUri {
    /// Parses a URI.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Uri::parse(text.as_bytes()).map(|uri| OwnedUri::from(&uri))
    }

    /// The URI as it was written: for digest, never for a log.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The user part, escapes resolved; of `tel:`, the number without separators.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host in lower case, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The value of a URI parameter, escapes resolved; empty where it has none.
    pub fn param(&self, name: &str) -> Option<String> {
        Uri::parse(self.text.as_bytes()).ok()?.params().get(name)
    }
}

impl From<&Uri<'_>> for OwnedUri {
    fn from(uri: &Uri<'_>) -> Self {
        OwnedUri {
            text: String::from_utf8_lossy(uri.text()).into_owned(),
            scheme: uri.scheme(),
            user: uri.user().map(Cow::into_owned),
            host: uri.host(),
            port: uri.port(),
        }
    }
}

impl fmt::Debug for OwnedUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedUri({:?}, …)", self.scheme)
    }
}

/// The header fields of a message as they came, unfolded, in order.
#[derive(Clone, Default)]
pub struct Headers(Vec<(String, Bytes)>);

impl Headers {
    /// Makes a list of names (long form) and values.
    pub fn new(fields: Vec<(String, Bytes)>) -> Self {
        Headers(fields)
    }

    /// Those of a message.
    pub(crate) fn of(message: &Message<'_>) -> Self {
        let fields = message.fields().iter().map(|field| {
            let name = match field.name.long() {
                Some(long) => long.to_owned(),
                None => String::from_utf8_lossy(field.raw_name).into_owned(),
            };
            (name, Bytes::from(lex::unfold(field.value).into_owned()))
        });
        Headers(fields.collect())
    }

    /// The values of one header field, by its long name, a line each.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The first value of one header field.
    pub fn first<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Every header field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_ref()))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Headers({} fields)", self.0.len())
    }
}
