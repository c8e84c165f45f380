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
    'The tables that the pipeline relations are views of, and their sizes: they hold everything else, too.';
COMMENT ON COLUMN compat.pipeline_table_sizes.relation IS 'The relation.';
COMMENT ON COLUMN compat.pipeline_table_sizes.table_name IS 'The table it is a view of, in the private schema.';
COMMENT ON COLUMN compat.pipeline_table_sizes.partitions IS 'How many partitions it has.';
COMMENT ON COLUMN compat.pipeline_table_sizes.estimated_rows IS 'Rows, as the planner estimates them.';
COMMENT ON COLUMN compat.pipeline_table_sizes.bytes IS 'Bytes on disk, indexes included.';
COMMENT ON COLUMN compat.pipeline_table_sizes.size IS 'The same for people.';
