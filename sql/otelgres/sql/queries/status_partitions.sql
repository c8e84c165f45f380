SELECT p.table_name AS "table", p.partitions, p.newest::text AS newest, pg_size_pretty(p.bytes) AS size
FROM otel.partitions p
ORDER BY p.bytes DESC
