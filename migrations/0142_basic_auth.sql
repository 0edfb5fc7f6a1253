-- Names and passwords of which clients must show one, and the passwords' hashes by these names; NULL: none.

ALTER TABLE policies ADD COLUMN basic_auth TEXT CHECK (basic_auth IS NULL OR json_valid(basic_auth));
ALTER TABLE policies ADD COLUMN passwords TEXT CHECK (passwords IS NULL OR json_valid(passwords));
