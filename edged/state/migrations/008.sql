-- sessions that a BNG may have been told to block: written before it is told, gone once it is known to be open

CREATE TABLE told (
    target       TEXT NOT NULL,
    nas          TEXT NOT NULL,
    session      TEXT NOT NULL,
    started      REAL NOT NULL,
    acknowledged INTEGER NOT NULL,
    value        TEXT NOT NULL,
    at           REAL NOT NULL,
    PRIMARY KEY (target, nas, session)
) STRICT;
