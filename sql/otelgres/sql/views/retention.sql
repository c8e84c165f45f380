CREATE OR REPLACE VIEW otel.retention AS
SELECT p.table_name,
       r.keep,
       p.oldest,
       p.bytes
FROM otel.partitions p
LEFT JOIN _otel.retention r ON r.table_name = p.table_name;

COMMENT ON VIEW otel.retention IS 'Retention of each table, and its oldest data.';
COMMENT ON COLUMN otel.retention.table_name IS 'The table, in the private schema.';
COMMENT ON COLUMN otel.retention.keep IS 'Partitions older than this are dropped; NULL: none are.';
COMMENT ON COLUMN otel.retention.oldest IS 'First day of the oldest partition.';
COMMENT ON COLUMN otel.retention.bytes IS 'Bytes on disk.';
