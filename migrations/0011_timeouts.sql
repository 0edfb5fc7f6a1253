-- Timeouts beside that of established connections.

ALTER TABLE virtual_services ADD COLUMN opening_timeout_s INTEGER NOT NULL DEFAULT 60;
ALTER TABLE virtual_services ADD COLUMN closing_timeout_s INTEGER NOT NULL DEFAULT 60;
