-- How members of a pool are spoken to, and what a service that is answered here believes and waits for.

ALTER TABLE pools ADD COLUMN http_version TEXT NOT NULL DEFAULT '1.1' CHECK (http_version IN ('1.1', '2'));
ALTER TABLE pools ADD COLUMN tls TEXT CHECK (tls IS NULL OR json_valid(tls));
ALTER TABLE pools ADD COLUMN proxy_protocol TEXT NOT NULL DEFAULT 'none' CHECK (proxy_protocol IN ('none', 'v1', 'v2'));

ALTER TABLE virtual_services ADD COLUMN proxy_protocol_from TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(proxy_protocol_from));
-- Seconds; NULL where requests are not understood.
ALTER TABLE virtual_services ADD COLUMN request_timeouts TEXT CHECK (request_timeouts IS NULL OR json_valid(request_timeouts));
UPDATE virtual_services SET request_timeouts = '{"head_s":10,"connect_s":5,"answer_s":60,"tunnel_s":3600,"drain_s":60}'
    WHERE protocol IN ('http', 'https');
