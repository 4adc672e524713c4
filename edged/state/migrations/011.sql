-- what edges that share a store have to tell each other, one row a thing: what waits to be sent, what is gone (so that
-- nobody brings it back), and when a local key was changed and when it was revoked or restored (epoch seconds)

CREATE TABLE exchanged (
    kind    TEXT NOT NULL,
    name    TEXT NOT NULL,
    changed REAL NOT NULL,
    marked  REAL NOT NULL DEFAULT 0,
    gone    INTEGER NOT NULL DEFAULT 0,
    waits   INTEGER NOT NULL DEFAULT 0,
    number  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, name)
) STRICT;
CREATE INDEX exchanged_waits ON exchanged (kind, name) WHERE waits = 1;
