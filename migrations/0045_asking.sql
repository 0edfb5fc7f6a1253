-- How the members of a pool are asked over HTTP: who keeps which, what is asked again, who is left out.

ALTER TABLE pools ADD COLUMN persistence TEXT CHECK (persistence IS NULL OR json_valid(persistence));
ALTER TABLE pools ADD COLUMN retries TEXT NOT NULL DEFAULT '{"attempts":2,"codes":[],"budget_percent":100}'
    CHECK (json_valid(retries));
ALTER TABLE pools ADD COLUMN outlier TEXT CHECK (outlier IS NULL OR json_valid(outlier));
