-- the edge that an event is of, where a hub tells it on; empty: this one
ALTER TABLE outbox ADD COLUMN edge TEXT NOT NULL DEFAULT '';
