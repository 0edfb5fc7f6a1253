-- How much of the new connections a member takes.

ALTER TABLE members ADD COLUMN weight INTEGER NOT NULL DEFAULT 1 CHECK (weight BETWEEN 0 AND 256);
ALTER TABLE members ADD COLUMN backup INTEGER NOT NULL DEFAULT 0;
-- NULL: as many connections as come.
ALTER TABLE members ADD COLUMN connection_limit INTEGER CHECK (connection_limit > 0);
