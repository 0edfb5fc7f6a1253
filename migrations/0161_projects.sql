-- Projects: each resource of what is balanced belongs to one; users and tokens to one or to the whole appliance.

CREATE TABLE projects (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    tags        TEXT NOT NULL CHECK (json_valid(tags)),
    enabled     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    -- How many of each kind it may have, by table.
    quotas      TEXT NOT NULL CHECK (json_valid(quotas))
) STRICT;

-- The same on every appliance: a configuration that is carried to another finds it there.
INSERT INTO projects (id, name, description, tags, enabled, generation, created_at, updated_at, quotas)
SELECT '00000000-0000-7000-8000-000000000000', 'default', '', '[]', 1, current, unixepoch() * 1000, unixepoch() * 1000, '{}'
FROM generation;

-- SQLite adds no reference with a value for what is there: that a project has nothing more is checked when it is deleted.
ALTER TABLE virtual_ips ADD COLUMN project_id TEXT NOT NULL DEFAULT '00000000-0000-7000-8000-000000000000';
ALTER TABLE virtual_services ADD COLUMN project_id TEXT NOT NULL DEFAULT '00000000-0000-7000-8000-000000000000';
ALTER TABLE policies ADD COLUMN project_id TEXT NOT NULL DEFAULT '00000000-0000-7000-8000-000000000000';
ALTER TABLE certificates ADD COLUMN project_id TEXT NOT NULL DEFAULT '00000000-0000-7000-8000-000000000000';
ALTER TABLE pools ADD COLUMN project_id TEXT NOT NULL DEFAULT '00000000-0000-7000-8000-000000000000';
ALTER TABLE monitors ADD COLUMN project_id TEXT NOT NULL DEFAULT '00000000-0000-7000-8000-000000000000';
ALTER TABLE users ADD COLUMN project_id TEXT REFERENCES projects (id);
ALTER TABLE tokens ADD COLUMN project_id TEXT REFERENCES projects (id);

CREATE INDEX virtual_ips_by_project ON virtual_ips (project_id);
CREATE INDEX virtual_services_by_project ON virtual_services (project_id);
CREATE INDEX policies_by_project ON policies (project_id);
CREATE INDEX certificates_by_project ON certificates (project_id);
CREATE INDEX pools_by_project ON pools (project_id);
CREATE INDEX monitors_by_project ON monitors (project_id);
CREATE INDEX users_by_project ON users (project_id);
