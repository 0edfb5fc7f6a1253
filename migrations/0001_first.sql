-- What the operator wants, who may want it, and what was answered to repeated requests.
-- Forward only: a change is a new file. Times are milliseconds since 1970 (UTC); identifiers are UUIDs as text.

-- One row. Each accepted change of the configuration raises it, in the transaction that makes the change.
CREATE TABLE generation (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    current  INTEGER NOT NULL
) STRICT;
INSERT INTO generation (only_row, current) VALUES (1, 1);

CREATE TABLE virtual_ips (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    tags        TEXT NOT NULL CHECK (json_valid(tags)),
    enabled     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    address     TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE pools (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    tags        TEXT NOT NULL CHECK (json_valid(tags)),
    enabled     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    protocol    TEXT NOT NULL,
    algorithm   TEXT NOT NULL
) STRICT;

-- Members are part of their pool and go with it.
CREATE TABLE members (
    id          TEXT PRIMARY KEY,
    pool_id     TEXT NOT NULL REFERENCES pools (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    tags        TEXT NOT NULL CHECK (json_valid(tags)),
    enabled     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    address     TEXT NOT NULL,
    port        INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    state       TEXT NOT NULL,
    UNIQUE (pool_id, name),
    UNIQUE (pool_id, address, port)
) STRICT;

CREATE TABLE virtual_services (
    id              TEXT PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    description     TEXT NOT NULL,
    tags            TEXT NOT NULL CHECK (json_valid(tags)),
    enabled         INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    protocol        TEXT NOT NULL,
    port            INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    forwarding      TEXT NOT NULL,
    default_pool_id TEXT REFERENCES pools (id),
    idle_timeout_s  INTEGER NOT NULL
) STRICT;
CREATE INDEX virtual_services_by_pool ON virtual_services (default_pool_id);

-- Which virtual IPs a service is offered on. Protocol and port are the service's, repeated here so that no two services
-- can ever take the same packets.
CREATE TABLE virtual_service_ips (
    virtual_service_id TEXT NOT NULL REFERENCES virtual_services (id) ON DELETE CASCADE,
    virtual_ip_id      TEXT NOT NULL REFERENCES virtual_ips (id),
    position           INTEGER NOT NULL,
    protocol           TEXT NOT NULL,
    port               INTEGER NOT NULL,
    PRIMARY KEY (virtual_service_id, virtual_ip_id),
    UNIQUE (virtual_ip_id, protocol, port)
) STRICT, WITHOUT ROWID;

-- What was created under an Idempotency-Key, kept for a day.
CREATE TABLE idempotency_keys (
    key         TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    record      TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- The hash of the one-time code that claims the appliance; gone once it is claimed.
CREATE TABLE claim (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    code_hash TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;
