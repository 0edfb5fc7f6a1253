-- When a pool is left alone as a whole, and what is asked of a second member as well; NULL: never, nothing.

ALTER TABLE pools ADD COLUMN breaker TEXT CHECK (breaker IS NULL OR json_valid(breaker));
ALTER TABLE pools ADD COLUMN hedge TEXT CHECK (hedge IS NULL OR json_valid(hedge));
