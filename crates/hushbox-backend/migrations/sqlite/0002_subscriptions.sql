-- Subscriptions to how many messages a mailbox has (RFC 6665, RFC 3842). Times are nanoseconds since 1970.

CREATE TABLE subscription (
    id         BLOB    PRIMARY KEY CHECK (length(id) = 16),
    mailbox    BLOB    NOT NULL CHECK (length(mailbox) = 16),
    owner_kind TEXT    NOT NULL CHECK (owner_kind IN ('device', 'trunk')),
    owner      BLOB    NOT NULL CHECK (length(owner) = 16),
    expires    INTEGER NOT NULL,
    -- The dialog, in the form that hushbox-call writes; its first byte is a version.
    dialog     BLOB    NOT NULL
) STRICT;
