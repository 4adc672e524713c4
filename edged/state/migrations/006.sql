-- which key a Wi-Fi session is of, on which network, and which RADIUS client reported it; empty: not said

ALTER TABLE sessions ADD COLUMN client TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN ssid TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN key TEXT NOT NULL DEFAULT '';
-- of several radios under one name each tells of its own start
ALTER TABLE sessions ADD COLUMN bssid TEXT NOT NULL DEFAULT '';
-- lines without Wi-Fi have no part in these
CREATE INDEX sessions_device ON sessions (ssid, mac) WHERE ssid != '';
