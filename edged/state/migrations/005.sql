-- until when a subscriber has put the reminder away (epoch seconds); pruned once it has ended

CREATE TABLE snoozes (
    subscriber TEXT PRIMARY KEY,
    until      REAL NOT NULL
) STRICT;
