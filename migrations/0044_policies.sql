-- Policies: what is done with requests of a service that fit their rules.

CREATE TABLE policies (
    id                 TEXT PRIMARY KEY,
    name               TEXT NOT NULL UNIQUE,
    description        TEXT NOT NULL,
    tags               TEXT NOT NULL CHECK (json_valid(tags)),
    enabled            INTEGER NOT NULL,
    generation         INTEGER NOT NULL,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    virtual_service_id TEXT NOT NULL REFERENCES virtual_services (id),
    position           INTEGER NOT NULL,
    rules              TEXT NOT NULL CHECK (json_valid(rules)),
    -- Of these four at most one is there.
    pools              TEXT NOT NULL CHECK (json_valid(pools)),
    redirect           TEXT CHECK (redirect IS NULL OR json_valid(redirect)),
    respond            TEXT CHECK (respond IS NULL OR json_valid(respond)),
    reject             TEXT CHECK (reject IS NULL OR json_valid(reject)),
    rewrite            TEXT CHECK (rewrite IS NULL OR json_valid(rewrite))
) STRICT;

CREATE INDEX policies_of_service ON policies (virtual_service_id, position);
