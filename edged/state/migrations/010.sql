-- what befell each line, for `edged log`; no name, host or URL of what anybody looks at is in it. Times: epoch seconds

CREATE TABLE life (
    number     INTEGER PRIMARY KEY,
    at         REAL NOT NULL,
    subscriber TEXT NOT NULL,
    what       TEXT NOT NULL,
    who        TEXT NOT NULL,
    detail     TEXT NOT NULL,
    seconds    REAL
) STRICT;
CREATE INDEX life_subscriber ON life (subscriber, at);
CREATE INDEX life_at ON life (at);
