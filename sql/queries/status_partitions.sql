SELECT p.name AS "table", count(c.oid)::integer AS partitions,
       max(substring(c.relname FROM '\d{8}$')) AS newest,
       pg_size_pretty(coalesce(sum(pg_total_relation_size(c.oid)), 0)) AS size
FROM _otel.partitioned p
LEFT JOIN pg_inherits i ON i.inhparent = ('_otel.' || p.name)::regclass
LEFT JOIN pg_class c ON c.oid = i.inhrelid
GROUP BY p.name
ORDER BY coalesce(sum(pg_total_relation_size(c.oid)), 0) DESC
