-- What packets are wrapped in on their way to the members, for services that are forwarded by a tunnel; NULL for others.
ALTER TABLE virtual_services ADD COLUMN tunnel TEXT CHECK (json_valid(tunnel));
