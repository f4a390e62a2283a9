-- Who was alone last: so one who no longer is, and does not know, changes nothing more.
ALTER TABLE nostrtx.counters ADD COLUMN alone uuid;
