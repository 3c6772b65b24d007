//! SIP as a caller writes it: text, from the examples of RFC 3261 and RFC 3665, not from the server's own types.

use std::fmt::Write as _;
use std::net::SocketAddr;

use hushbox_sip::Transport;

use super::Caller;

/// A response as it came.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// The method of its CSeq.
    pub method: String,
    /// Its head.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl Response {
    pub(super) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an end of the head");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        let cseq = field(head, "CSeq").expect("CSeq");
        let method = cseq.split(' ').next_back().expect("a method").to_owned();
        Self { status, method, head: head.to_owned(), body: body.to_owned() }
    }

    /// A header field's first value.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// One call's dialog.
#[derive(Clone)]
pub(super) struct Dialog {
    uri: String,
    via: String,
    from: String,
    to: String,
    call_id: String,
    contact: String,
    remote_target: Option<String>,
    cseq: u32,
    branch: u32,
}

impl Dialog {
    pub(super) fn new(caller: &Caller, uri: &str, call: u32) -> Self {
        let address: SocketAddr = caller.sip_address();
        let (name, parameter) = match caller.transport {
            Transport::Tls => ("TLS", ";transport=tls"),
            Transport::Tcp => ("TCP", ";transport=tcp"),
            Transport::Udp => ("UDP", ""),
        };
        let number = &caller.number;
        Self {
            uri: uri.to_owned(),
            via: format!("SIP/2.0/{name} {address};rport;branch=z9hG4bK-{}-{call}", caller.id.0),
            from: format!(
                "\"Mary Major\" <sip:{number}@caller.example>;tag=f{}{call}",
                caller.id.0
            ),
            to: format!("<{uri}>"),
            call_id: format!("{}-{call}@caller.example", caller.id.0),
            contact: format!("<sip:{number}@{address}{parameter}>"),
            remote_target: None,
            cseq: 1,
            branch: 0,
        }
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.remote_target.is_some()
    }

    fn request(
        &self,
        method: &str,
        uri: &str,
        cseq: u32,
        more: &str,
        body: Option<&str>,
    ) -> String {
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\nVia: {}-{}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {cseq} {method}\r\n{more}",
            self.via, self.branch, self.from, self.to, self.call_id
        );
        if body.is_some() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        let body = body.unwrap_or_default();
        let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
        text
    }

    fn contact_field(&self) -> String {
        format!("Contact: {}\r\n", self.contact)
    }

    pub(super) fn invite(&self, sdp: Option<&str>) -> String {
        self.request("INVITE", &self.uri, self.cseq, &self.contact_field(), sdp)
    }

    /// The call again, with credentials (RFC 3261 §22.2: a CSeq and a branch of its own, the rest as before).
    pub(super) fn invite_again(&mut self, sdp: Option<&str>, authorization: &str) -> String {
        self.cseq += 1;
        self.branch += 1;
        let more = format!("{}Authorization: {authorization}\r\n", self.contact_field());
        self.request("INVITE", &self.uri, self.cseq, &more, sdp)
    }

    pub(super) fn reinvite(&mut self, sdp: &str) -> String {
        self.cseq += 1;
        self.branch += 1;
        self.request("INVITE", self.target(), self.cseq, &self.contact_field(), Some(sdp))
    }

    pub(super) fn cancel(&self) -> String {
        self.request("CANCEL", &self.uri, self.cseq, "", None)
    }

    pub(super) fn bye(&mut self) -> String {
        self.bye_with("")
    }

    /// The BYE again, with credentials.
    pub(super) fn bye_again(&mut self, authorization: &str) -> String {
        self.bye_with(&format!("Authorization: {authorization}\r\n"))
    }

    fn bye_with(&mut self, more: &str) -> String {
        self.cseq += 1;
        self.branch += 1;
        self.request("BYE", self.target(), self.cseq, more, None)
    }

    /// RFC 3261 §13.2.2.4: the ACK of a 2xx is a transaction of its own, with the INVITE's CSeq.
    pub(super) fn ack(&mut self, answer: Option<&str>) -> String {
        self.branch += 1;
        self.request("ACK", self.target(), self.cseq, "", answer)
    }

    /// RFC 3261 §17.1.1.3: the ACK of a refusal has the INVITE's branch and the response's To.
    pub(super) fn ack_of_refusal(&self, response: &Response) -> String {
        let to = response.field("To").expect("To");
        self.request("ACK", &self.uri, self.cseq, "", None)
            .replace(&format!("\r\nTo: {}\r\n", self.to), &format!("\r\nTo: {to}\r\n"))
    }

    pub(super) fn confirm(&mut self, response: &Response) {
        self.to = response.field("To").expect("To").to_owned();
        let contact = response.field("Contact").expect("Contact");
        let uri = contact.split('<').nth(1).and_then(|rest| rest.split('>').next());
        self.remote_target = Some(uri.expect("a URI in brackets").to_owned());
    }

    /// What its next request has as Request-URI.
    pub(super) fn target(&self) -> &str {
        self.remote_target.as_deref().unwrap_or(&self.uri)
    }
}

/// 200 to a request of the server (RFC 3261 §8.2.6.2).
pub(super) fn ok(request: &str) -> String {
    let (head, _) = request.split_once("\r\n\r\n").expect("an end of the head");
    let mut text = "SIP/2.0 200 OK\r\n".to_owned();
    for line in head.lines().skip(1) {
        let name = line.split(':').next().unwrap_or_default().trim();
        if ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|n| n.eq_ignore_ascii_case(name)) {
            let _ = write!(text, "{line}\r\n");
        }
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    text
}
