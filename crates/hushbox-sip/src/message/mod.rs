//! SIP messages over borrowed bytes (RFC 3261 §7, §25).
//!
//! One pass finds the lines; what every message must have is then read into types that cannot be
//! wrong. Unknown header fields and methods are kept. Values are slices of what came: a folded one
//! holds its line breaks until it is written again.

pub mod address;
pub(crate) mod content;
pub mod event_package;
pub(crate) mod lex;
pub mod method;
pub mod name;
pub mod params;
mod parse;
pub mod uri;
pub mod via;
pub(crate) mod write;

pub(crate) use parse::Draft;
pub use parse::Field;

use crate::error::ParseError;
use crate::invite::InviteBody;
use address::{Address, addresses};
use method::Method;
use name::Name;
use std::fmt;
use uri::Uri;
use via::Via;

/// A message that every check has passed which needs no knowledge of who we are.
pub struct Message<'a> {
    start: StartLine<'a>,
    via: Via<'a>,
    via_count: usize,
    from: Address<'a>,
    to: Address<'a>,
    call_id: &'a [u8],
    cseq: CSeq<'a>,
    contact: Option<Address<'a>>,
    fields: Vec<Field<'a>>,
    body: &'a [u8],
}

/// The first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// A request.
    Request(Request<'a>),
    /// A response, by its status code.
    Response(u16),
}

/// A Request-Line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method.
    pub method: Method<'a>,
    /// The Request-URI.
    pub uri: Uri<'a>,
}

/// A CSeq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The sequence number.
    pub number: u32,
    /// The method.
    pub method: Method<'a>,
}

impl<'a> Message<'a> {
    /// Parses a datagram, or what a [`crate::Framer`] cut out of a stream. Octets after
    /// Content-Length are ignored.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Draft::read(bytes)?.check()
    }

    /// The first line.
    pub fn start(&self) -> StartLine<'a> {
        self.start
    }

    /// The topmost Via.
    pub fn via(&self) -> &Via<'a> {
        &self.via
    }

    /// How many Via values there are.
    pub fn via_count(&self) -> usize {
        self.via_count
    }

    /// From.
    pub fn from(&self) -> &Address<'a> {
        &self.from
    }

    /// To.
    pub fn to(&self) -> &Address<'a> {
        &self.to
    }

    /// Call-ID.
    pub fn call_id(&self) -> &'a [u8] {
        self.call_id
    }

    /// CSeq.
    pub fn cseq(&self) -> CSeq<'a> {
        self.cseq
    }

    /// The first Contact.
    pub fn contact(&self) -> Option<&Address<'a>> {
        self.contact.as_ref()
    }

    /// The values of Record-Route in order.
    pub fn record_route(&self) -> impl Iterator<Item = Address<'a>> + '_ {
        self.values(Name::RecordRoute).flat_map(addresses).flatten()
    }

    /// Every header field in order.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// The values of one header field, a line each.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.fields.iter().filter(move |f| f.name == name).map(|f| f.value)
    }

    /// The items of a header field that is a list of option tags.
    pub fn option_tags(&self, name: Name) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.values(name)
            .flat_map(|value| value.split(|b| *b == b','))
            .map(lex::trim)
            .filter(|tag| !tag.is_empty())
    }

    /// The body, cut to Content-Length.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// What the body is to us.
    pub fn classify_body(&self) -> Result<InviteBody, ParseError> {
        content::classify(&self.fields, self.body)
    }

    /// Whether Accept leaves room for a message summary (RFC 3842 §3.5: absent means that one).
    pub fn accepts_summary(&self) -> bool {
        content::accepts(&self.fields, "simple-message-summary")
    }

    /// Whether Accept leaves room for a session description.
    pub fn accepts_sdp(&self) -> bool {
        content::accepts_sdp(&self.fields)
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("method", &self.cseq.method)
            .field("fields", &self.fields.len())
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}
