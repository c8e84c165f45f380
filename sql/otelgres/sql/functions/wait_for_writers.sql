-- Waits until all transactions that are writing spans have ended; transactions that start meanwhile wait. After
-- lock_timeout this raises lock_not_available, and the caller retries later.
CREATE OR REPLACE FUNCTION _otel.wait_for_writers() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('_otel.flow_parts'));
END
$$;
