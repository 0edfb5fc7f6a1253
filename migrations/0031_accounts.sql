-- Users as resources with a role, sessions that can be ended, and tokens for programs.

ALTER TABLE users RENAME COLUMN username TO name;
ALTER TABLE users ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN tags TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(tags));
ALTER TABLE users ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
-- Whoever is here already claimed the appliance.
ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT 'admin';
UPDATE users SET updated_at = created_at;

-- Somebody who signed in. A refresh token is good once: only the hash of the last one is here. The password's hash is
-- repeated as a fingerprint, so that a session ends when the password is changed.
CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    carrier      TEXT NOT NULL,
    source       TEXT,
    password     TEXT NOT NULL,
    refresh_hash TEXT,
    created_at   INTEGER NOT NULL,
    used_at      INTEGER NOT NULL,
    ends_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE tokens (
    id          TEXT PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    tags        TEXT NOT NULL CHECK (json_valid(tags)),
    enabled     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    permissions TEXT NOT NULL CHECK (json_valid(permissions)),
    expires_at  INTEGER NOT NULL,
    secret_hash TEXT NOT NULL,
    UNIQUE (user_id, name)
) STRICT;
