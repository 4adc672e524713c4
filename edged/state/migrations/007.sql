-- devices that access points were told to let on, so that a restart can still send them away; nothing secret

CREATE TABLE grants (
    ssid      TEXT NOT NULL,
    mac       TEXT NOT NULL,
    client    TEXT NOT NULL,
    dialect   TEXT NOT NULL,
    nas       TEXT NOT NULL,
    session   BLOB NOT NULL,
    origin    TEXT NOT NULL,
    key       TEXT NOT NULL,
    vlan      INTEGER,
    rate_down INTEGER,
    rate_up   INTEGER,
    at        REAL NOT NULL,
    wanted    TEXT NOT NULL,
    PRIMARY KEY (ssid, mac)
) STRICT;
CREATE INDEX grants_at ON grants (at);
