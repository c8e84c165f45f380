SELECT r.table_name, coalesce(r.keep::text, 'for ever') AS keep, r.oldest, r.bytes FROM otel.retention r ORDER BY r.table_name
