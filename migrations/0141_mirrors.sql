-- Which pool gets a copy of the request; NULL: none.
ALTER TABLE policies ADD COLUMN mirror TEXT CHECK (mirror IS NULL OR json_valid(mirror));
