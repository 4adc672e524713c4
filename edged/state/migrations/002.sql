-- when a session was given the addresses it has: of two that claim one, the later has it (epoch seconds)
ALTER TABLE sessions ADD COLUMN bound REAL NOT NULL DEFAULT 0;
UPDATE sessions SET bound = started;
CREATE INDEX sessions_open ON sessions (stopped);
