-- Counts the removals that have no place in the log: so a replica knows whether it has
-- them.
ALTER TABLE nostrtx.counters ADD COLUMN last_change bigint NOT NULL DEFAULT 0;
