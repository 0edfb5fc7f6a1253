-- Changes that revert by themselves unless somebody confirms them, and several edits as one.

CREATE TABLE confirmations (
    generation INTEGER PRIMARY KEY REFERENCES revisions (generation) ON DELETE CASCADE,
    deadline   INTEGER NOT NULL
) STRICT;

CREATE TABLE changesets (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    tags        TEXT NOT NULL CHECK (json_valid(tags)),
    enabled     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    operations  TEXT NOT NULL CHECK (json_valid(operations))
) STRICT;
