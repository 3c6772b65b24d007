//! Methods.

/// A request's method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method<'a> {
    /// RFC 3261.
    Invite,
    /// RFC 3261.
    Ack,
    /// RFC 3261.
    Bye,
    /// RFC 3261.
    Cancel,
    /// RFC 3261.
    Options,
    /// RFC 3311.
    Update,
    /// RFC 3262.
    Prack,
    /// RFC 6665.
    Subscribe,
    /// RFC 6665.
    Notify,
    /// Known and not served here: REGISTER, PUBLISH and the like.
    Unserved(&'static str),
    /// Never heard of.
    Unknown(&'a [u8]),
}

/// Methods that exist and that we do not serve: 405 (RFC 3261 §21.4.6).
const UNSERVED: [&str; 5] = ["REGISTER", "PUBLISH", "MESSAGE", "INFO", "REFER"];

impl<'a> Method<'a> {
    /// The method of a token. Methods are case-sensitive (RFC 3261 §7.1).
    pub fn of(token: &'a [u8]) -> Self {
        match token {
            b"INVITE" => Method::Invite,
            b"ACK" => Method::Ack,
            b"BYE" => Method::Bye,
            b"CANCEL" => Method::Cancel,
            b"OPTIONS" => Method::Options,
            b"UPDATE" => Method::Update,
            b"PRACK" => Method::Prack,
            b"SUBSCRIBE" => Method::Subscribe,
            b"NOTIFY" => Method::Notify,
            _ => match UNSERVED.iter().find(|name| name.as_bytes() == token) {
                Some(name) => Method::Unserved(name),
                None => Method::Unknown(token),
            },
        }
    }

    /// The token.
    pub fn text(&self) -> &'a [u8] {
        match *self {
            Method::Invite => b"INVITE",
            Method::Ack => b"ACK",
            Method::Bye => b"BYE",
            Method::Cancel => b"CANCEL",
            Method::Options => b"OPTIONS",
            Method::Update => b"UPDATE",
            Method::Prack => b"PRACK",
            Method::Subscribe => b"SUBSCRIBE",
            Method::Notify => b"NOTIFY",
            Method::Unserved(name) => name.as_bytes(),
            Method::Unknown(token) => token,
        }
    }
}
