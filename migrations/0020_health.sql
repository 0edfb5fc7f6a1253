-- How members are watched, and what was last seen of them.

CREATE TABLE monitors (
    id               TEXT PRIMARY KEY,
    name             TEXT NOT NULL UNIQUE,
    description      TEXT NOT NULL,
    tags             TEXT NOT NULL CHECK (json_valid(tags)),
    enabled          INTEGER NOT NULL,
    generation       INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    -- Kind and settings, as in the API.
    definition       TEXT NOT NULL CHECK (json_valid(definition)),
    interval_ms      INTEGER NOT NULL,
    down_interval_ms INTEGER,
    timeout_ms       INTEGER NOT NULL,
    rise             INTEGER NOT NULL,
    fall             INTEGER NOT NULL,
    address          TEXT,
    port             INTEGER CHECK (port BETWEEN 1 AND 65535)
) STRICT;

CREATE TABLE pool_monitors (
    pool_id    TEXT NOT NULL REFERENCES pools (id) ON DELETE CASCADE,
    monitor_id TEXT NOT NULL REFERENCES monitors (id),
    position   INTEGER NOT NULL,
    PRIMARY KEY (pool_id, monitor_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pool_monitors_by_monitor ON pool_monitors (monitor_id);

-- Observed, not wanted: it raises no generation. A restarted penstockd begins with it.
CREATE TABLE check_states (
    member_id  TEXT NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    monitor_id TEXT NOT NULL REFERENCES monitors (id) ON DELETE CASCADE,
    liveness   TEXT NOT NULL,
    since      INTEGER NOT NULL,
    words      TEXT NOT NULL,
    PRIMARY KEY (member_id, monitor_id)
) STRICT, WITHOUT ROWID;
