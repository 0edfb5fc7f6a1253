-- How fast clients may come to a service whose packets are forwarded; NULL: as fast as they like.
ALTER TABLE virtual_services ADD COLUMN rate_limit TEXT CHECK (rate_limit IS NULL OR json_valid(rate_limit));
