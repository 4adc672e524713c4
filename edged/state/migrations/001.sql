-- What edged itself learns. Times are epoch seconds. Billing's own list is not here: it is the snapshot file.

CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- the guard's memory: who was newly blocked, or vanished, and when; pruned by window
CREATE TABLE guard_events (
    kind       TEXT NOT NULL CHECK (kind IN ('blocked', 'vanished', 'moved')),
    subscriber TEXT NOT NULL,
    at         REAL NOT NULL,
    PRIMARY KEY (kind, subscriber)
) STRICT;

CREATE TABLE overrides (
    subscriber TEXT PRIMARY KEY,
    blocked    INTEGER NOT NULL,
    until      REAL NOT NULL,
    reason     TEXT NOT NULL,
    why        TEXT NOT NULL,
    who        TEXT NOT NULL,
    at         REAL NOT NULL
) STRICT;

CREATE TABLE passes (
    subscriber TEXT NOT NULL,
    at         REAL NOT NULL,
    ends       REAL NOT NULL,
    PRIMARY KEY (subscriber, at)
) STRICT;

CREATE TABLE audit (
    at      REAL NOT NULL,
    who     TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    why     TEXT NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject, at);

-- passphrase and pmk are sealed (state/sealing.py); origin: billing or local
CREATE TABLE keys (
    origin       TEXT NOT NULL CHECK (origin IN ('billing', 'local')),
    id           TEXT NOT NULL,
    ssid         TEXT NOT NULL,
    site         TEXT NOT NULL,
    subscriber   TEXT NOT NULL,
    label        TEXT NOT NULL,
    passphrase   BLOB NOT NULL,
    pmk          BLOB,
    vlan         INTEGER,
    device_limit INTEGER,
    devices      TEXT NOT NULL,
    not_before   REAL NOT NULL,
    expires      REAL NOT NULL,
    rate_down    INTEGER,
    rate_up      INTEGER,
    created      REAL NOT NULL,
    revoked      REAL,
    PRIMARY KEY (origin, id)
) STRICT;

-- which device used which key on which network
CREATE TABLE devices (
    ssid       TEXT NOT NULL,
    mac        TEXT NOT NULL,
    origin     TEXT NOT NULL,
    key        TEXT NOT NULL,
    first_seen REAL NOT NULL,
    last_seen  REAL NOT NULL,
    PRIMARY KEY (ssid, mac)
) STRICT;
CREATE INDEX devices_key ON devices (origin, key);

-- accounting sessions (RFC 2866), one row a session of a NAS
CREATE TABLE sessions (
    nas         TEXT NOT NULL,
    session     TEXT NOT NULL,
    login       TEXT NOT NULL,
    mac         TEXT NOT NULL,
    ipv4        TEXT NOT NULL,
    ipv6        TEXT NOT NULL,
    delegated   TEXT NOT NULL,
    started     REAL NOT NULL,
    updated     REAL NOT NULL,
    stopped     REAL,
    octets_in   INTEGER NOT NULL,
    octets_out  INTEGER NOT NULL,
    PRIMARY KEY (nas, session)
) STRICT;

-- RADIUS clients that have once signed a request and must do so ever after (CVE-2024-3596)
CREATE TABLE signing_clients (
    address TEXT PRIMARY KEY
) STRICT;
