-- ids of accepted webhook posts; at: when the post was sent
CREATE TABLE hooks (
    id TEXT PRIMARY KEY,
    at REAL NOT NULL
) STRICT;

-- what billing is to be told, oldest first, until it has accepted it
CREATE TABLE outbox (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    type       TEXT NOT NULL,
    subscriber TEXT NOT NULL,
    key        TEXT NOT NULL,
    device     TEXT NOT NULL,
    at         REAL NOT NULL
) STRICT;
CREATE INDEX outbox_at ON outbox (at);
