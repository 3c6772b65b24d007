//! Every limit on a message is one: what is at it passes, what is beyond is refused.

use hushbox_sip::{InviteBody, Message, ParseError, limits};

fn message(fields: &str, body: &str) -> String {
    format!(
        "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n{fields}\r\n{body}"
    )
}

fn error(text: &str) -> Option<ParseError> {
    Message::parse(text.as_bytes()).err()
}

#[test]
fn vias() {
    let vias = |count| message(&"Via: SIP/2.0/UDP h\r\n".repeat(count), "");
    assert_eq!(error(&vias(limits::MAX_VIAS - 1)), None);
    assert_eq!(error(&vias(limits::MAX_VIAS)), Some(ParseError::TooLarge("Via")));
    let on_a_line = vec!["SIP/2.0/UDP h"; limits::MAX_VIAS].join(",");
    let text = message(&format!("v: {on_a_line}\r\n"), "");
    assert_eq!(error(&text), Some(ParseError::TooLarge("Via")));
}

#[test]
fn header_fields() {
    let fields = |count| message(&"X-Y: y\r\n".repeat(count), "");
    assert_eq!(error(&fields(limits::MAX_FIELDS - 5)), None);
    let beyond = error(&fields(limits::MAX_FIELDS - 4));
    assert_eq!(beyond, Some(ParseError::TooLarge("header fields")));
}

#[test]
fn header_bytes() {
    let beyond = message(&format!("X-Y: {}\r\n", "y".repeat(limits::MAX_HEAD_BYTES)), "");
    assert_eq!(error(&beyond), Some(ParseError::TooLarge("header bytes")));
    assert_eq!(error(&beyond.replace(&"y".repeat(1000), "")), None);
}

#[test]
fn body_bytes() {
    assert_eq!(error(&message("", &"y".repeat(limits::MAX_BODY_BYTES))), None);
    let beyond = message("", &"y".repeat(limits::MAX_BODY_BYTES + 1));
    assert_eq!(error(&beyond), Some(ParseError::TooLarge("body")));
}

#[test]
fn start_line_bytes() {
    let long = message("", "").replacen("sip:a@b", &format!("sip:{}@b", "a".repeat(9000)), 1);
    assert_eq!(error(&long), Some(ParseError::TooLarge("start line")));
}

#[test]
fn empty_lines_before_a_message() {
    let text = message("", "");
    let after = |lines: usize| format!("{}{text}", "\r\n".repeat(lines));
    assert_eq!(error(&after(limits::MAX_KEEP_ALIVE_BYTES / 2)), None);
    let beyond = error(&after(limits::MAX_KEEP_ALIVE_BYTES / 2 + 1));
    assert_eq!(beyond, Some(ParseError::NotSip));
}

#[test]
fn identifiers() {
    let long = "x".repeat(limits::MAX_IDENTIFIER_BYTES);
    let text = message("", "");
    for (from, name) in [("Call-ID: 1", "Call-ID"), (";tag=1", "From"), ("z9hG4bK1", "Via")] {
        let at = text.replacen(from, &format!("{}{long}", from.trim_end_matches('1')), 1);
        let fits = if name == "Via" { at.replacen("xxxxxxx", "", 1) } else { at.clone() };
        assert_eq!(error(&fits), None, "{name}");
        let beyond = fits.replacen("xx", "xxx", 1);
        assert_eq!(error(&beyond), Some(ParseError::Header(name)), "{name}");
    }
}

#[test]
fn sequence_numbers() {
    let numbered = |n: &str| error(&message("", "").replace("CSeq: 1", &format!("CSeq: {n}")));
    assert_eq!(numbered("2147483647"), None);
    assert_eq!(numbered("2147483648"), Some(ParseError::Header("CSeq")));
}

#[test]
fn host_names() {
    let host =
        |length| error(&message("", "").replacen("@b", &format!("@{}", "b".repeat(length)), 1));
    assert_eq!(host(limits::MAX_HOST_BYTES), None);
    assert_eq!(host(limits::MAX_HOST_BYTES + 1), Some(ParseError::Uri));
}

#[test]
fn parts_and_their_depth() {
    let body = |parts: usize| {
        let body = "--b\r\n\r\nx\r\n".repeat(parts) + "--b--\r\n";
        let text = message("Content-Type: multipart/mixed;boundary=b\r\n", &body);
        Message::parse(text.as_bytes()).expect("valid").classify_body()
    };
    assert_eq!(body(limits::MAX_PARTS), Ok(InviteBody::None));
    assert_eq!(body(limits::MAX_PARTS + 1), Err(ParseError::TooLarge("multipart parts")));

    let nested = |depth: usize| {
        let inside = "Content-Type: application/sdp\r\n\r\nv=0\r\n".to_owned();
        let whole = (0..depth).fold(inside, |inside, n| {
            format!(
                "Content-Type: multipart/mixed;boundary=b{n}\r\n\r\n--b{n}\r\n{inside}\r\n--b{n}--\r\n"
            )
        });
        let (fields, body) = whole.split_once("\r\n\r\n").expect("a head");
        let text = message(&format!("{fields}\r\n"), body);
        Message::parse(text.as_bytes()).expect("valid").classify_body()
    };
    assert!(matches!(nested(limits::MAX_PART_DEPTH), Ok(InviteBody::Sdp(_))));
    let beyond = nested(limits::MAX_PART_DEPTH + 1);
    assert_eq!(beyond, Err(ParseError::TooLarge("multipart depth")));
}
