-- What waits while every member of a pool has as many requests as it may.

ALTER TABLE pools ADD COLUMN queue TEXT CHECK (queue IS NULL OR json_valid(queue));
