//! Header field names, long and compact (RFC 3261 §7.3.3, §20).

macro_rules! names {
    ($($variant:ident $long:literal $($compact:literal)?;)*) => {
        /// A header field that means something to us. Others are kept as they came.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Name {
            $(#[doc = $long] $variant,)*
            /// Any other.
            Other,
        }

        impl Name {
            /// The name of a header field, whatever its case and form.
            pub fn of(text: &[u8]) -> Self {
                match text.len() {
                    1 => {
                        $($(if text.eq_ignore_ascii_case($compact.as_bytes()) {
                            return Name::$variant;
                        })?)*
                    }
                    $(length if length == $long.len()
                        && text.eq_ignore_ascii_case($long.as_bytes()) => return Name::$variant,)*
                    _ => {}
                }
                Name::Other
            }

            /// The long form; `None` for a name that we do not know.
            pub fn long(self) -> Option<&'static str> {
                match self {
                    $(Name::$variant => Some($long),)*
                    Name::Other => None,
                }
            }
        }
    };
}

names! {
    Via "Via" "v";
    From "From" "f";
    To "To" "t";
    CallId "Call-ID" "i";
    CSeq "CSeq";
    MaxForwards "Max-Forwards";
    Contact "Contact" "m";
    ContentLength "Content-Length" "l";
    ContentType "Content-Type" "c";
    ContentEncoding "Content-Encoding" "e";
    ContentDisposition "Content-Disposition";
    Route "Route";
    RecordRoute "Record-Route";
    Require "Require";
    Supported "Supported" "k";
    Authorization "Authorization";
    Accept "Accept";
    Allow "Allow";
    Timestamp "Timestamp";
    RSeq "RSeq";
    RAck "RAck";
    SessionExpires "Session-Expires" "x";
    MinSe "Min-SE";
    Subject "Subject" "s";
    Event "Event" "o";
    AllowEvents "Allow-Events" "u";
    SubscriptionState "Subscription-State";
    Expires "Expires";
    RetryAfter "Retry-After";
    ReferTo "Refer-To" "r";
    ReferredBy "Referred-By" "b";
    Reason "Reason";
    Replaces "Replaces";
    InfoPackage "Info-Package";
    Identity "Identity" "y";
    AcceptContact "Accept-Contact" "a";
    RejectContact "Reject-Contact" "j";
    RequestDisposition "Request-Disposition" "d";
}

impl Name {
    /// Whether the header field stands once at most and has one value (RFC 4475 §3.3.8).
    pub(crate) fn is_single(self) -> bool {
        matches!(
            self,
            Name::From
                | Name::To
                | Name::CallId
                | Name::CSeq
                | Name::MaxForwards
                | Name::ContentLength
                | Name::ContentType
                | Name::ContentDisposition
                | Name::SessionExpires
                | Name::MinSe
                | Name::RAck
                | Name::Event
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_and_long_forms_are_one_name() {
        assert_eq!(Name::of(b"v"), Name::Via);
        assert_eq!(Name::of(b"VIA"), Name::Via);
        assert_eq!(Name::of(b"call-id"), Name::CallId);
        assert_eq!(Name::of(b"I"), Name::CallId);
        assert_eq!(Name::of(b"C%6Fntact"), Name::Other);
        assert_eq!(Name::of(b"z"), Name::Other);
    }
}
