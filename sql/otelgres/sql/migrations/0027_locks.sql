-- Locks between the functions of the owner, taken by LOCK TABLE on tables that contain nothing. Nobody else has a right
-- on them, so nobody else can take them; advisory locks can be taken by every login. They queue fairly, write nothing
-- and end with the transaction. No view reads these tables, and no vacuum has work in them.
CREATE TABLE _otel.lock_flow_parts ();   -- ROW EXCLUSIVE: adds flow parts; EXCLUSIVE: may add parts of the same flow in two weeks
CREATE TABLE _otel.lock_partitions ();   -- EXCLUSIVE: creates a partition
CREATE TABLE _otel.lock_hours ();        -- EXCLUSIVE: takes hours to roll up, or rolls one up

-- How often the hour was taken: it is only done when the last one who took it has rolled it up.
ALTER TABLE _otel.rollup_hours_in_progress ADD COLUMN taken bigint NOT NULL DEFAULT 1;
