CREATE OR REPLACE VIEW otel.partitions AS
SELECT p.name AS table_name,
       count(c.oid)::integer AS partitions,
       min(d.day) AS oldest,
       max(d.day) AS newest,
       -- The newest partition ends one stride after its start.
       (max(d.day) + extract(day FROM p.stride)::integer - (now() AT TIME ZONE 'UTC')::date - 1)::integer AS days_ahead,
       p.name IN ('spans', 'logs', 'number_points', 'histogram_points', 'exponential_histogram_points', 'summary_points',
                  'digests', 'losses') AS made_ahead,
       coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes,
       greatest(coalesce(sum(c.reltuples) FILTER (WHERE c.reltuples > 0), 0), 0)::bigint AS estimated_rows
FROM _otel.partitioned p
-- Through the catalog: resolving a name would require the reader's rights on the schema.
JOIN pg_namespace n ON n.nspname = '_otel'
LEFT JOIN pg_class t ON t.relname = p.name AND t.relnamespace = n.oid
LEFT JOIN pg_inherits i ON i.inhparent = t.oid
LEFT JOIN pg_class c ON c.oid = i.inhrelid
LEFT JOIN LATERAL (SELECT to_date(substring(c.relname FROM '_(\d{8})$'), 'YYYYMMDD') AS day) d ON true
GROUP BY p.name, p.stride;

COMMENT ON VIEW otel.partitions IS 'The partitioned tables, their partitions and sizes.';
COMMENT ON COLUMN otel.partitions.table_name IS 'The table, in the private schema.';
COMMENT ON COLUMN otel.partitions.partitions IS 'Number of partitions.';
COMMENT ON COLUMN otel.partitions.oldest IS 'First day of the oldest partition, except the one for out-of-range times.';
COMMENT ON COLUMN otel.partitions.newest IS 'First day of the newest partition.';
COMMENT ON COLUMN otel.partitions.days_ahead IS
    'Number of whole days after today (UTC) that have a partition; negative if today has none.';
COMMENT ON COLUMN otel.partitions.made_ahead IS
    'Whether receivers create its partitions days ahead; the others are created with the first row.';
COMMENT ON COLUMN otel.partitions.bytes IS 'Bytes on disk, including indexes and TOAST.';
COMMENT ON COLUMN otel.partitions.estimated_rows IS 'Number of rows, estimated by the planner.';
