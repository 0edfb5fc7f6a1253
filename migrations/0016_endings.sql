-- What those are told whom nobody takes, and when the connections of members that drain end (NULL: by themselves).
ALTER TABLE virtual_services ADD COLUMN unserved TEXT NOT NULL DEFAULT 'silence' CHECK (unserved IN ('silence', 'reset'));
ALTER TABLE pools ADD COLUMN drain_timeout_s INTEGER CHECK (drain_timeout_s >= 0);
