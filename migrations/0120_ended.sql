-- What both ends of a connection are told that is ended by the appliance.
ALTER TABLE virtual_services ADD COLUMN ended TEXT NOT NULL DEFAULT 'silence' CHECK (ended IN ('silence', 'reset'));
