//! What a crowd's call reads of a message: by hand, since `rsip` takes longer than all else that the generator does.

/// The few fields of a message that a call needs. Folding is not read: no server that is measured here folds.
pub(super) struct Reply<'a> {
    /// Of a request.
    pub(super) method: Option<&'a str>,
    /// Of a response.
    pub(super) status: u16,
    /// The number at the start of the Call-ID.
    pub(super) call: usize,
    pub(super) cseq_method: &'a str,
    pub(super) to: &'a str,
    pub(super) contact: Option<&'a str>,
    pub(super) body: &'a [u8],
    head: &'a str,
}

impl<'a> Reply<'a> {
    /// Reads a message; none if it is not one of a crowd's calls.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let body = bytes.get(end + 4..)?;
        let start = head.lines().next()?;
        let (method, status) = match start.strip_prefix("SIP/2.0 ") {
            Some(rest) => (None, rest.get(..3)?.parse().ok()?),
            None => (Some(start.split_once(' ')?.0), 0),
        };
        let (mut call_id, mut cseq, mut to, mut contact) = (None, None, None, None);
        for (name, value) in fields(head) {
            let slot = match () {
                () if is(name, "Call-ID", "i") => &mut call_id,
                () if is(name, "CSeq", "") => &mut cseq,
                () if is(name, "To", "t") => &mut to,
                () if is(name, "Contact", "m") => &mut contact,
                () => continue,
            };
            slot.get_or_insert(value);
        }
        let call = call_id?.split_once('-')?.0.parse().ok()?;
        let cseq_method = cseq?.split_once(' ')?.1.trim();
        Some(Self { method, status, call, cseq_method, to: to?, contact, body, head })
    }

    /// 200 to a request.
    pub(super) fn accept(&self) -> Vec<u8> {
        let mut text = String::from("SIP/2.0 200 OK\r\n");
        for (name, value) in fields(self.head) {
            let copied = is(name, "Via", "v")
                || is(name, "From", "f")
                || is(name, "To", "t")
                || is(name, "Call-ID", "i")
                || is(name, "CSeq", "");
            if copied {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        text.into_bytes()
    }
}

fn fields(head: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = head.split("\r\n").skip(1);
    lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim()))
}

fn is(name: &str, long: &str, compact: &str) -> bool {
    name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(compact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_the_server_is_accepted_with_what_a_response_copies() {
        let bye = b"BYE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=1\r\nf: <sip:s>;tag=1\r\nt: <sip:c>;tag=2\r\n\
            i: 12-abc\r\nCSeq: 9 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
        let reply = Reply::read(bye).expect("a request");
        assert_eq!((reply.method, reply.call), (Some("BYE"), 12));
        let text = String::from_utf8(reply.accept()).expect("text");
        assert_eq!(
            text,
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=1\r\nf: <sip:s>;tag=1\r\nt: <sip:c>;tag=2\r\n\
             i: 12-abc\r\nCSeq: 9 BYE\r\nContent-Length: 0\r\n\r\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_octets_make_it_panic(bytes in proptest::collection::vec(0u8.., 0..300)) {
            let _ = Reply::read(&bytes);
        }
    }
}
