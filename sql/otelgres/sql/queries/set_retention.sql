-- NULL days: for ever.
MERGE INTO _otel.retention r
USING (SELECT %(table)s::text AS table_name, make_interval(days => %(days)s::integer) AS keep) g ON g.table_name = r.table_name
WHEN MATCHED AND g.keep IS NULL THEN DELETE
WHEN MATCHED THEN UPDATE SET keep = g.keep
WHEN NOT MATCHED AND g.keep IS NOT NULL THEN INSERT (table_name, keep) VALUES (g.table_name, g.keep)
