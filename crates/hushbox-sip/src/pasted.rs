//! An INVITE as a person pastes it: out of a log or a trace, with the line ends that an editor makes.

use crate::error::ParseError;
use crate::invite::{Headers, Invite, OwnedUri};
use crate::message::method::Method;
use crate::message::{Message, StartLine, lex};
use crate::transport::{Flow, Transport};
use bytes::Bytes;
use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};

/// Reads a pasted INVITE: from the line that begins with `INVITE` to the next empty one. What stands
/// before it, its indentation and its body count for nothing; so does Content-Length, which is wrong
/// once the text has been through an editor.
pub fn invite(text: &str, transport: Transport) -> Result<Invite, ParseError> {
    let message = as_sent(text).ok_or(ParseError::StartLine)?;
    let message = Message::parse(message.as_bytes())?;
    let uri = match message.start() {
        StartLine::Request(request) if request.method == Method::Invite => request.uri,
        StartLine::Request(_) | StartLine::Response(_) => return Err(ParseError::StartLine),
    };
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let flow = Flow { transport, local: nowhere, remote: nowhere, connection: None };
    let mut invite = Invite::new(flow, OwnedUri::from(&uri));
    invite.from_user = message.from().uri().user().map(Cow::into_owned);
    invite.from_display = message.from().display().map(Cow::into_owned);
    invite.to_user = message.to().uri().user().map(Cow::into_owned);
    let fields = message.fields().iter().map(|field| {
        let name = match field.name.long() {
            Some(long) => long.to_owned(),
            None => String::from_utf8_lossy(field.raw_name).into_owned(),
        };
        (name, Bytes::from(lex::unfold(field.value).into_owned()))
    });
    invite.headers = Headers::new(fields.collect());
    Ok(invite)
}

fn as_sent(text: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with("INVITE "));
    let first = lines.next()?;
    let start = first.trim_start();
    let indentation = &first[..first.len() - start.len()];
    let mut message = format!("{}\r\n", start.trim_end());
    let mut is_dropped = false;
    for line in lines {
        let line = line.strip_prefix(indentation).unwrap_or(line).trim_end();
        if line.is_empty() {
            break;
        }
        if !line.starts_with([' ', '\t']) {
            let name = line.split(':').next().unwrap_or_default().trim();
            is_dropped = ["Content-Length", "l"].iter().any(|n| name.eq_ignore_ascii_case(n));
        }
        if !is_dropped {
            message.push_str(line);
            message.push_str("\r\n");
        }
    }
    message.push_str("\r\n");
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOG: &str = "\n\n<--- Received SIP request (999 bytes) from UDP:192.0.2.9:5060 --->\n\
        \x20 INVITE sip:vm@192.0.2.1 SIP/2.0\n\
        \x20 Via: SIP/2.0/TLS 192.0.2.9;branch=z9hG4bK1\n\
        \x20 f: \"Mary\" <sip:5551234@192.0.2.9>;tag=1\n\
        \x20 To: <sip:1001@192.0.2.9>\n\
        \x20 Call-ID: a\n\
        \x20 CSeq: 1 INVITE\n\
        \x20 Max-Forwards: 70\n\
        \x20 Contact: <sip:192.0.2.9>\n\
        \x20 Diversion: <sip:1001@192.0.2.9>\n\
        \x20   ;reason=user-busy\n\
        \x20 Content-Length: 400\n\
        \n\
        v=0\n";

    #[test]
    fn an_invite_out_of_a_log_is_read() {
        let invite = invite(LOG, Transport::Tls).expect("readable");
        assert_eq!(invite.request_uri.user(), Some("vm"));
        assert_eq!(invite.from_user.as_deref(), Some("5551234"));
        let diversion = invite.headers.first("Diversion");
        assert_eq!(diversion, Some(&b"<sip:1001@192.0.2.9> ;reason=user-busy"[..]));
    }

    #[test]
    fn what_is_no_invite_is_refused() {
        for text in [
            "",
            "SIP/2.0 200 OK",
            "INVITE ",
            "INVITE sip:a@b SIP/2.0",
            &LOG.replace("INVITE", "OPTIONS"),
            &LOG.replace("CSeq: 1 INVITE", "CSeq: 1 BYE"),
        ] {
            assert!(invite(text, Transport::Tls).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(before in "\\PC{0,40}", text in "(\\PC|[\r\n\t ]){0,200}") {
            let _ = invite(&format!("{before}\nINVITE {text}"), Transport::Udp);
            let _ = invite(&LOG.replace("vm@", &text), Transport::Udp);
        }
    }
}
