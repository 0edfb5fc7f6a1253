-- What a service that is answered here asks of its clients, and does for them.

-- NULL where packets are forwarded as they come.
ALTER TABLE virtual_services ADD COLUMN limits TEXT CHECK (limits IS NULL OR json_valid(limits));
UPDATE virtual_services SET limits = '{"head_bytes":32768,"target_bytes":16384,"body_bytes":null,"connections_per_source":null}'
    WHERE forwarding = 'proxy';
ALTER TABLE virtual_services ADD COLUMN compression TEXT CHECK (compression IS NULL OR json_valid(compression));
UPDATE virtual_services SET tls = json_set(tls, '$.hsts', NULL, '$.client_auth', NULL) WHERE tls IS NOT NULL;

ALTER TABLE policies ADD COLUMN cors TEXT CHECK (cors IS NULL OR json_valid(cors));
ALTER TABLE policies ADD COLUMN jwt TEXT CHECK (jwt IS NULL OR json_valid(jwt));
