-- What kind of word it is, and when its end was noted; who gave a pass.

ALTER TABLE overrides ADD COLUMN kind TEXT NOT NULL DEFAULT 'promise' CHECK (kind IN ('block', 'promise', 'exemption'));
UPDATE overrides SET kind = 'block' WHERE blocked = 1;
-- NULL: it was not noted yet; the clock alone decides what is in force
ALTER TABLE overrides ADD COLUMN ended REAL;

ALTER TABLE passes ADD COLUMN who TEXT NOT NULL DEFAULT 'subscriber';
