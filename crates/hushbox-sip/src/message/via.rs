//! Via (RFC 3261 §20.42, RFC 3581).

use super::lex::{self, Cursor};
use super::params::Params;
use super::uri::host_port;
use crate::limits;

/// The prefix of a branch that identifies its transaction (RFC 3261 §8.1.1.7).
pub(crate) const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// One Via value.
#[derive(Clone, Copy)]
pub struct Via<'a> {
    text: &'a [u8],
    /// Where `text` splits: before the parameters and after them.
    before_params: usize,
    transport: &'a [u8],
    host: &'a [u8],
    port: Option<u16>,
    params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Takes one value from the cursor.
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Option<Self> {
        cursor.skip_lws();
        let start = cursor.position();
        // protocol-name SLASH protocol-version SLASH transport
        if !cursor.token()?.eq_ignore_ascii_case(b"SIP") || !slash(cursor) {
            return None;
        }
        if cursor.token()? != b"2.0" || !slash(cursor) {
            return None;
        }
        let transport = cursor.token()?;
        if !cursor.peek().is_some_and(lex::is_lws) {
            return None;
        }
        cursor.skip_lws();
        let (host, port) = host_port(cursor)?;
        let before_params = cursor.position() - start;
        let (mut branches, mut rports) = (0, 0);
        let params = Params::parse_each(cursor, |name, value| {
            let is_branch = name.eq_ignore_ascii_case(b"branch");
            branches += usize::from(is_branch);
            rports += usize::from(name.eq_ignore_ascii_case(b"rport"));
            !is_branch || value.is_some_and(|b| b.len() <= limits::MAX_IDENTIFIER_BYTES)
        })?;
        let text = cursor.since(start);
        let via = Via { text, before_params, transport, host, port, params };
        (branches <= 1 && rports <= 1).then_some(via)
    }

    /// The value as it was written.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The value without its parameters, and the parameters.
    pub(crate) fn split(&self) -> (&'a [u8], Params<'a>) {
        (self.text.get(..self.before_params).unwrap_or_default(), self.params)
    }

    /// The transport's name.
    pub fn transport(&self) -> &'a [u8] {
        self.transport
    }

    /// The host of `sent-by`.
    pub fn host(&self) -> &'a [u8] {
        self.host
    }

    /// The port of `sent-by`.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The branch, where it identifies a transaction: with the magic cookie and something after
    /// it (RFC 4475 §3.2.1).
    pub fn branch(&self) -> Option<&'a [u8]> {
        let branch = self.params.get("branch")?;
        let cookie = branch.get(..MAGIC_COOKIE.len())?;
        let has_more = branch.len() > MAGIC_COOKIE.len();
        (has_more && cookie.eq_ignore_ascii_case(MAGIC_COOKIE)).then_some(branch)
    }

    /// The parameters.
    pub fn params(&self) -> Params<'a> {
        self.params
    }
}

fn slash(cursor: &mut Cursor<'_>) -> bool {
    cursor.skip_lws();
    let found = cursor.eat(b'/');
    cursor.skip_lws();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(text: &str) -> Option<Via<'_>> {
        let mut cursor = Cursor::new(text.as_bytes());
        Via::parse(&mut cursor).filter(|_| cursor.at_end())
    }

    #[test]
    fn white_space_may_stand_nearly_everywhere() {
        let via =
            via("SIP  /    2.0\r\n /UDP  192.168.255.111 : 5062 ; branch=\r\n z9hG4bK30239;rport")
                .expect("valid");
        assert_eq!(via.host(), b"192.168.255.111");
        assert_eq!(via.port(), Some(5062));
        assert_eq!(via.branch(), Some(&b"z9hG4bK30239"[..]));
        assert!(via.params().has("rport"));
    }

    #[test]
    fn a_bare_cookie_is_no_branch() {
        assert_eq!(via("SIP/2.0/UDP h;branch=z9hG4bK").and_then(|v| v.branch()), None);
        assert_eq!(via("SIP/2.0/UDP h;branch=390skdjuw").and_then(|v| v.branch()), None);
    }

    #[test]
    fn malformed_values_are_refused() {
        for text in [
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ;branch=1",
            "HTTP/1.1/TCP h",
            "SIP/2.0/UDP h;;branch=1",
            "SIP/2.0/UDP h;branch=1;branch=2",
            "SIP/2.0/UDP h;rport;rport=5",
            "SIP/2.0/UDP h:99999",
        ] {
            assert!(via(text).is_none(), "{text}");
        }
    }
}
