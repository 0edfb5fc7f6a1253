-- What happened: every change with its author, who did what, and what the appliance noticed.

-- One row for each accepted change of the configuration; its number is the generation that the change gave.
CREATE TABLE revisions (
    generation INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    author_id  TEXT,
    author     TEXT NOT NULL,
    comment    TEXT NOT NULL
) STRICT;

-- What a revision changed: the whole document before and after, so that any earlier state can be made again.
CREATE TABLE revision_changes (
    generation  INTEGER NOT NULL REFERENCES revisions (generation) ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    resource    TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    parent_id   TEXT,
    before      TEXT CHECK (before IS NULL OR json_valid(before)),
    after       TEXT CHECK (after IS NULL OR json_valid(after)),
    PRIMARY KEY (generation, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX revision_changes_by_resource ON revision_changes (resource_id, generation);

-- Who did what, from where, and whether it was let. Each row's hash covers the row and the hash before it.
CREATE TABLE audit (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    actor_id TEXT,
    actor    TEXT NOT NULL,
    source   TEXT,
    action   TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    details  TEXT NOT NULL CHECK (json_valid(details)),
    hash     TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- What the appliance noticed; the oldest make room for the newest.
CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    severity    TEXT NOT NULL,
    message     TEXT NOT NULL,
    resource    TEXT,
    resource_id TEXT,
    data        TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
CREATE INDEX events_by_resource ON events (resource_id, id);
