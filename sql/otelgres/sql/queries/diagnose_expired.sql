-- Tables with partitions that should have been dropped an hour ago or more: receivers do so every ten minutes.
SELECT r.table_name AS "table", r.oldest::text AS oldest
FROM otel.retention r
WHERE r.oldest + CASE WHEN r.table_name IN ('flow_parts', 'hour_stats', 'service_stats') THEN 7 ELSE 1 END
    < (now() - r.keep - interval '1 hour') AT TIME ZONE 'UTC'
ORDER BY r.table_name
