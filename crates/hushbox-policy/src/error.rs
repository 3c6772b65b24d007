//! What can be wrong with a value handed to this crate.

/// A value that is not what its type promises. Its text never repeats the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An id that is not a UUID.
    #[error("not an id: a UUID is expected")]
    Id,
    /// A number with other characters than digits and `*`, or of a wrong length.
    #[error("not a number: 1 to 20 digits or `*` are expected")]
    Number,
    /// A PIN with other characters than digits, or of a wrong length.
    #[error("not a PIN: 1 to 12 digits are expected")]
    Pin,
    /// A caller's number or name that is empty or longer than is kept.
    #[error("a caller's number or name is empty or too long")]
    Caller,
    /// A reason that is empty, too long, or holds what the audit log must not hold.
    #[error(
        "a reason has 3 to 200 printable characters and no telephone number (seven digits or more)"
    )]
    Reason,
    /// No role's name.
    #[error(
        "no role: user, supervisor, mailbox-admin, security-admin, auditor, integration and emergency are there"
    )]
    Role,
    /// A PIN verifier whose algorithm or parameters are not among those this build accepts.
    #[error("a PIN verifier of an unknown kind")]
    Verifier,
    /// A lock-out row that cannot be read.
    #[error("a lock-out counter that cannot be read")]
    CounterRow,
    /// A digit rule that can't be.
    #[error(
        "not a digit rule: patterns of digits, `*` and X, at most 20 long, with no more X after than before"
    )]
    DigitRule,
    /// Where NOTIFYs go, not as a `sip` URI.
    #[error(
        "not sip:HOST[:PORT][;transport=tls|tcp|udp]: it begins with sip: (TLS is meant without a transport)"
    )]
    NotifyScheme,
    /// The same with a host that can't be.
    #[error(
        "not sip:HOST[:PORT][;transport=tls|tcp|udp]: its host is no name and no address, and a user has no place there"
    )]
    NotifyHost,
    /// The same with a port that can't be.
    #[error(
        "not sip:HOST[:PORT][;transport=tls|tcp|udp]: its port is not 1 to 65535 (an IPv6 address stands in brackets)"
    )]
    NotifyPort,
    /// The same with something else than a transport of ours.
    #[error(
        "not sip:HOST[:PORT][;transport=tls|tcp|udp]: nothing but one transport=tls, tcp or udp may follow"
    )]
    NotifyTransport,
    /// A name that is not one of a closed list.
    #[error("an unknown name")]
    Name,
}
