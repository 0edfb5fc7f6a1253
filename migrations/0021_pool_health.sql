-- How the results of several monitors come to one, and what a pool does when too few of its members are well.

-- 'all' or 'any'.
ALTER TABLE pools ADD COLUMN monitors_needed TEXT NOT NULL DEFAULT 'all';
ALTER TABLE pools ADD COLUMN min_healthy INTEGER NOT NULL DEFAULT 1 CHECK (min_healthy > 0);
-- 'refuse', 'all_members' or 'backup_pool'.
ALTER TABLE pools ADD COLUMN below_min_healthy TEXT NOT NULL DEFAULT 'refuse';
ALTER TABLE pools ADD COLUMN backup_pool_id TEXT REFERENCES pools (id);
ALTER TABLE pools ADD COLUMN slow_start_s INTEGER NOT NULL DEFAULT 0;
CREATE INDEX pools_by_backup ON pools (backup_pool_id);
