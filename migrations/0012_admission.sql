-- Who may connect to a service, and how many at a time.

-- NULL: as many connections as come.
ALTER TABLE virtual_services ADD COLUMN connection_limit INTEGER CHECK (connection_limit > 0);
ALTER TABLE virtual_services ADD COLUMN allowed_cidrs TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(allowed_cidrs));
ALTER TABLE virtual_services ADD COLUMN denied_cidrs TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(denied_cidrs));
