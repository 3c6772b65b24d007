-- Ids are UUIDs of 16 bytes. Times are nanoseconds since 1970. What names a caller is sealed.

CREATE TABLE message (
    id              BLOB    PRIMARY KEY CHECK (length(id) = 16),
    account         BLOB    NOT NULL CHECK (length(account) = 16),
    mailbox         BLOB    NOT NULL CHECK (length(mailbox) = 16),
    epoch           INTEGER NOT NULL CHECK (epoch > 0),
    profile         INTEGER NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('new', 'heard', 'quiet', 'deleted')),
    previous_state  TEXT    CHECK (previous_state IN ('new', 'heard', 'quiet')),
    received_at     INTEGER NOT NULL,
    samples         INTEGER NOT NULL CHECK (samples >= 0),
    sample_rate     INTEGER NOT NULL CHECK (sample_rate >= 0),
    truncated       INTEGER NOT NULL CHECK (truncated IN (0, 1)),
    sealed_key      BLOB    NOT NULL,
    sealed_envelope BLOB    NOT NULL,
    manifest        BLOB    NOT NULL,
    signature       BLOB    NOT NULL,
    audit_seq       INTEGER NOT NULL,
    object_key      TEXT    NOT NULL,
    -- The reading of running_clock at which a rule destroys the message; none while no rule applies.
    due             INTEGER
) STRICT;

CREATE INDEX message_by_mailbox ON message (mailbox, state, received_at, id);
CREATE INDEX message_by_time ON message (received_at, id);
CREATE INDEX message_by_due ON message (due) WHERE due IS NOT NULL;

-- How long servers have run on this index, in nanoseconds: what messages that wait for a rule wait in. One row.
CREATE TABLE running_clock (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    reading INTEGER NOT NULL CHECK (reading >= 0)
) STRICT;

INSERT INTO running_clock (one, reading) VALUES (1, 0);

CREATE TABLE directory (
    kind      TEXT    NOT NULL,
    id        BLOB    NOT NULL CHECK (length(id) = 16),
    version   INTEGER NOT NULL CHECK (version > 0),
    body      BLOB    NOT NULL,
    signature BLOB    NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;
