-- Drops the partitions of _otel.<p_table> that are older than the owner's retention; returns their number. A writer may
-- call this, but no function that drops by a given time. One table a transaction: its lock is held until the end.
DROP FUNCTION IF EXISTS _otel.drop_expired();
CREATE OR REPLACE FUNCTION _otel.drop_expired(p_table text) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(
        (SELECT _otel.drop_partitions(r.table_name, now() - r.keep) FROM _otel.retention r WHERE r.table_name = p_table), 0)
$$;
