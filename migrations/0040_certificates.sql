-- Certificates, and the services that show them.

CREATE TABLE certificates (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    tags        TEXT NOT NULL CHECK (json_valid(tags)),
    enabled     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    chain       TEXT NOT NULL,
    -- Sealed with a key that is not in this database.
    sealed_key  TEXT NOT NULL,
    public_key  TEXT NOT NULL
) STRICT;

-- How a service that ends TLS does so; NULL for others.
ALTER TABLE virtual_services ADD COLUMN tls TEXT CHECK (tls IS NULL OR json_valid(tls));
