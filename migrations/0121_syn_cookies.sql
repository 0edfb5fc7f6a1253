-- From how many half-open connections on a service answers SYNs with cookies; NULL: never.
ALTER TABLE virtual_services ADD COLUMN syn_cookies_from INTEGER
    CHECK (syn_cookies_from IS NULL OR syn_cookies_from BETWEEN 0 AND 16000000);
