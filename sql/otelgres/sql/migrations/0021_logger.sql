-- Loggers that had a table of their own: which table prefixes there are, and how long the logs of each are to be kept.
CREATE TABLE _otel.logs_views (
    prefix text PRIMARY KEY,
    keep_days integer                   -- 0: for ever; NULL: nobody has said
);

-- Few resources name a prefix, and the planner must know how few. By hash: a prefix of anybody's may be too long for a B-tree.
CREATE INDEX resources_table_prefix ON _otel.resources USING hash ((attributes ->> 'otelgres.table_prefix'))
    WHERE attributes ->> 'otelgres.table_prefix' IS NOT NULL;
