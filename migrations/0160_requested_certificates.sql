-- Certificates that are still to be signed: the key is made here, and waits beside the request for what an authority makes of it.

CREATE TABLE certificates_new (
    id               TEXT PRIMARY KEY,
    name             TEXT NOT NULL UNIQUE,
    description      TEXT NOT NULL,
    tags             TEXT NOT NULL CHECK (json_valid(tags)),
    enabled          INTEGER NOT NULL,
    generation       INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    chain            TEXT,
    -- Sealed with a key that is not in this database.
    sealed_key       TEXT,
    public_key       TEXT,
    -- The request that was given out, and the key that it was made with.
    csr              TEXT,
    asked_sealed_key TEXT,
    asked_public_key TEXT,
    CHECK ((chain IS NULL) = (sealed_key IS NULL) AND (chain IS NULL) = (public_key IS NULL)),
    CHECK ((csr IS NULL) = (asked_sealed_key IS NULL) AND (csr IS NULL) = (asked_public_key IS NULL))
) STRICT;
INSERT INTO certificates_new (id, name, description, tags, enabled, generation, created_at, updated_at, chain, sealed_key,
    public_key)
SELECT id, name, description, tags, enabled, generation, created_at, updated_at, chain, sealed_key, public_key
FROM certificates;
DROP TABLE certificates;
ALTER TABLE certificates_new RENAME TO certificates;
