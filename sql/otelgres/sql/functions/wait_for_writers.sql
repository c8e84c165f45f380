-- Waits until all transactions that are writing spans have ended; transactions that start meanwhile wait. After
-- lock_timeout this raises lock_not_available, and the caller retries later. The lock is released before this returns,
-- whatever the caller's transaction does then: so the block is rolled back.
CREATE OR REPLACE FUNCTION _otel.wait_for_writers() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
BEGIN
    LOCK TABLE ONLY _otel.lock_flow_parts IN EXCLUSIVE MODE;
    RAISE EXCEPTION USING ERRCODE = 'OTL01';
EXCEPTION WHEN SQLSTATE 'OTL01' THEN
    NULL;
END
$$;
