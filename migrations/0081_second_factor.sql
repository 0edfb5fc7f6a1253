-- The second factor of users who have one: a secret that their device shares, sealed, and what it was used for last.
CREATE TABLE second_factors (
    user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    sealed_secret TEXT NOT NULL,
    -- Whether the user has shown that the device has it: until then it is not asked for.
    confirmed INTEGER NOT NULL DEFAULT 0,
    -- The last time step whose code was used (RFC 6238): none is good twice.
    last_step INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Hashes of codes that are good once, for who has lost the device.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES second_factors (user_id) ON DELETE CASCADE,
    code_hash TEXT NOT NULL,
    PRIMARY KEY (user_id, code_hash)
) STRICT;
