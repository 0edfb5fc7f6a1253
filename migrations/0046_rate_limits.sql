-- How many requests a policy lets pass.

ALTER TABLE policies ADD COLUMN rate_limit TEXT CHECK (rate_limit IS NULL OR json_valid(rate_limit));
