CREATE OR REPLACE VIEW compat.pipeline_table_sizes AS
SELECT b.relation,
       b.table_name,
       p.partitions,
       p.estimated_rows,
       p.bytes,
       pg_size_pretty(p.bytes) AS size
FROM (VALUES ('pipeline_logs', 'logs'), ('pipeline_events', 'logs'), ('pipeline_progress', 'logs'),
             ('pipeline_metrics', 'number_points')) AS b (relation, table_name)
JOIN otel.partitions p ON p.table_name = b.table_name
ORDER BY p.bytes DESC, b.relation;

COMMENT ON VIEW compat.pipeline_table_sizes IS
    'The tables behind the pipeline relations and their sizes, including all other data in them.';
COMMENT ON COLUMN compat.pipeline_table_sizes.relation IS 'The relation.';
COMMENT ON COLUMN compat.pipeline_table_sizes.table_name IS 'The table behind it, in the private schema.';
COMMENT ON COLUMN compat.pipeline_table_sizes.partitions IS 'Number of partitions.';
COMMENT ON COLUMN compat.pipeline_table_sizes.estimated_rows IS 'Number of rows, estimated by the planner.';
COMMENT ON COLUMN compat.pipeline_table_sizes.bytes IS 'Bytes on disk, including indexes.';
COMMENT ON COLUMN compat.pipeline_table_sizes.size IS 'bytes as readable text.';
