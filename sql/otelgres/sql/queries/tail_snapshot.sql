SELECT pg_current_snapshot()::text AS seen, statement_timestamp() AS at,
       pg_snapshot_xmin(pg_current_snapshot()) = pg_snapshot_xmax(pg_current_snapshot()) AS alone
