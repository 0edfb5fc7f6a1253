-- Services of several ports.

-- The last of them; NULL: there is one.
ALTER TABLE virtual_services ADD COLUMN port_end INTEGER CHECK (port_end BETWEEN port AND 65535);
-- Repeated where the port is, for all of them: a trigger keeps two services from having a port in common.
ALTER TABLE virtual_service_ips ADD COLUMN port_end INTEGER NOT NULL DEFAULT 0;
UPDATE virtual_service_ips SET port_end = port;

CREATE TRIGGER virtual_service_ips_apart BEFORE INSERT ON virtual_service_ips
WHEN EXISTS (
    SELECT 1 FROM virtual_service_ips i
    WHERE i.virtual_ip_id = NEW.virtual_ip_id AND i.protocol = NEW.protocol
        AND i.port <= NEW.port_end AND i.port_end >= NEW.port)
BEGIN
    SELECT RAISE(ABORT, 'another virtual service has one of these ports');
END;
