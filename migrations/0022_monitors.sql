-- Checks that show a password, and pauses between checks that differ by choice.

ALTER TABLE monitors ADD COLUMN jitter_percent INTEGER NOT NULL DEFAULT 10 CHECK (jitter_percent BETWEEN 0 AND 50);
-- Sealed with the appliance's key file.
ALTER TABLE monitors ADD COLUMN sealed_password TEXT;
