-- Drops partitions older than the owner's retention. A writer may call this, but no function that drops by a given
-- time.
CREATE OR REPLACE FUNCTION _otel.drop_expired() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(sum(_otel.drop_partitions(r.table_name, now() - r.keep)), 0)::integer FROM _otel.retention r
$$;
