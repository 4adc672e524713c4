-- what the dashboard draws: the last day in bins of ten minutes, and the newest changes of access; no more is kept

CREATE TABLE history (
    start INTEGER PRIMARY KEY,
    facts TEXT NOT NULL
) STRICT;
CREATE TABLE changes (
    number     INTEGER PRIMARY KEY,
    at         REAL NOT NULL,
    subscriber TEXT NOT NULL,
    before     TEXT NOT NULL,
    after      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    by         TEXT NOT NULL
) STRICT;
