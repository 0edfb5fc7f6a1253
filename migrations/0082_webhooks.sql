-- Who is told of events by HTTP, and how far telling them has come: the log of events is the queue.

CREATE TABLE webhooks (
    id              TEXT PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    description     TEXT NOT NULL,
    tags            TEXT NOT NULL CHECK (json_valid(tags)),
    enabled         INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    url             TEXT NOT NULL,
    events          TEXT NOT NULL CHECK (json_valid(events)),
    ca              TEXT,
    -- Sealed with the appliance's key file.
    sealed_secret   TEXT NOT NULL,
    -- The number of the last event that is done with; NULL until the first look.
    done_with       INTEGER,
    -- Of the one after it: how often it was tried in vain, since when, and when it is tried again.
    failures        INTEGER NOT NULL DEFAULT 0,
    failing_since   INTEGER,
    next_attempt_at INTEGER,
    last_attempt_at INTEGER,
    last_success_at INTEGER,
    last_error      TEXT,
    given_up        INTEGER NOT NULL DEFAULT 0
) STRICT;
