//! Overload control between neighbours (RFC 7339): a client that can be told to send less says so in its Via, and each
//! response to it carries how much less.

use std::fmt;
use std::time::Duration;

use crate::message::via::Via;

/// What a participating neighbour is told, with the one algorithm that everybody has (`loss`, RFC 7339 §5.10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverloadControl {
    /// Of a hundred requests it is to keep so many to itself. None at all: nothing is asked of it.
    pub loss_percent: u8,
    /// For how long that holds, unless something newer is said.
    pub validity: Duration,
    /// When it was found, as seconds and thousandths of one: what is older is not listened to (RFC 7339 §4.4).
    pub sequence: (u64, u16),
}

impl OverloadControl {
    /// Whether who wrote this Via takes part: `oc`, and `loss` among its algorithms where it names any (RFC 7339
    /// §4.1, §4.2).
    pub(crate) fn is_offered(via: &Via<'_>) -> bool {
        let params = via.params();
        let has_loss = |list: &[u8]| {
            let bare = list.strip_prefix(b"\"").and_then(|l| l.strip_suffix(b"\"")).unwrap_or(list);
            bare.split(|b| *b == b',').any(|algo| algo.trim_ascii().eq_ignore_ascii_case(b"loss"))
        };
        params.has("oc") && params.get("oc-algo").is_none_or(has_loss)
    }

    /// Whether a parameter of a Via is one of this, so that ours stands in its place.
    pub(crate) fn is_parameter(name: &[u8]) -> bool {
        ["oc", "oc-algo", "oc-validity", "oc-seq"]
            .iter()
            .any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
    }
}

/// The parameters of a Via, each with its semicolon.
impl fmt::Display for OverloadControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.loss_percent.min(100);
        // RFC 7339 §4.3: a validity of 0 says that nothing is asked.
        let validity = if percent == 0 { 0 } else { self.validity.as_millis() };
        write!(f, ";oc={percent};oc-algo=\"loss\";oc-validity={validity}")?;
        let (seconds, millis) = self.sequence;
        // RFC 7339 §9: at most twelve digits, a point, at most five.
        write!(f, ";oc-seq={}.{:03}", seconds % 1_000_000_000_000, millis % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::lex::Cursor;

    fn is_offered(params: &str) -> bool {
        let text = format!("SIP/2.0/TLS p1.example.net;branch=z9hG4bK2d4790.1{params}");
        let via = Via::parse(&mut Cursor::new(text.as_bytes())).expect("a Via");
        OverloadControl::is_offered(&via)
    }

    #[test]
    fn a_client_takes_part_by_oc_and_an_algorithm_that_we_have() {
        for (params, expected) in [
            (";oc;oc-algo=\"loss,A\"", true),
            (";oc;oc-algo=\"A, LOSS\"", true),
            (";OC;OC-Algo=\"loss\"", true),
            (";oc", true),
            (";oc;oc-algo=\"rate\"", false),
            (";oc;oc-algo=\"lossy\"", false),
            (";oc-algo=\"loss\"", false),
            ("", false),
        ] {
            assert_eq!(is_offered(params), expected, "{params}");
        }
    }

    #[test]
    fn what_is_said_is_what_the_rfc_shows() {
        let asks = OverloadControl {
            loss_percent: 20,
            validity: Duration::from_millis(1000),
            sequence: (1_282_321_615, 782),
        };
        assert_eq!(
            asks.to_string(),
            ";oc=20;oc-algo=\"loss\";oc-validity=1000;oc-seq=1282321615.782"
        );
        let asks_nothing = OverloadControl { loss_percent: 0, ..asks };
        assert_eq!(
            asks_nothing.to_string(),
            ";oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq=1282321615.782"
        );
    }
}
