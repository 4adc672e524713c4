-- when a session was given each of its addresses: of two that claim one, the later has it (epoch seconds)
ALTER TABLE sessions ADD COLUMN bound_ipv4 REAL NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN bound_ipv6 REAL NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN bound_delegated REAL NOT NULL DEFAULT 0;
UPDATE sessions SET bound_ipv4 = started, bound_ipv6 = started, bound_delegated = started;
-- 1: nobody has stopped it, it has only been silent for long; a report wakes it
ALTER TABLE sessions ADD COLUMN silent INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sessions_open ON sessions (stopped);
