-- Waits until every transaction that is writing spans now has ended (those that begin meanwhile wait their turn, for at
-- most lock_timeout, after which this raises lock_not_available and the caller comes again later).
CREATE OR REPLACE FUNCTION _otel.wait_for_writers() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('_otel.flow_parts'));
END
$$;
