-- Checks that travel as clients' packets do.

ALTER TABLE monitors ADD COLUMN via_forwarding INTEGER NOT NULL DEFAULT 0 CHECK (via_forwarding IN (0, 1));
