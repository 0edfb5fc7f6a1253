-- What members see in the place of the clients, for services that are forwarded by full NAT; empty for others.
ALTER TABLE virtual_services ADD COLUMN local_addresses TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(local_addresses));
