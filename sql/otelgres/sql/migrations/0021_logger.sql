-- Loggers that had a table of their own: the table prefixes, and how long the logs of each are kept.
CREATE TABLE _otel.logs_views (
    prefix text PRIMARY KEY,
    keep_days integer                   -- 0: for ever; NULL: not set
);

-- Few resources have a prefix, and the planner needs statistics for that. By hash: a prefix may be too long for a
-- B-tree.
CREATE INDEX resources_table_prefix ON _otel.resources USING hash ((attributes ->> 'otelgres.table_prefix'))
    WHERE attributes ->> 'otelgres.table_prefix' IS NOT NULL;
