-- Drops the partitions of _otel.<p_table> that contain nothing newer than p_before; returns their number. The partition
-- of out-of-range times is kept as long as any day is kept, because the age of its rows is unknown.
-- A partition can be dropped only while nobody uses its table, and whoever comes later waits meanwhile. So this waits
-- only a moment, and only if there is something to drop: if somebody uses the table, it raises lock_not_available or
-- drops fewer, and the caller tries again later. A partition on which other objects depend is left.
CREATE OR REPLACE FUNCTION _otel.drop_partitions(p_table text, p_before timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '300ms' AS $$
DECLARE
    v_stride interval;
    v_name text;
    v_dropped integer := 0;
    v_locked boolean := false;
BEGIN
    SELECT stride INTO STRICT v_stride FROM _otel.partitioned WHERE name = p_table;
    FOR v_name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = format('_otel.%I', p_table)::regclass
          AND c.relname ~ '_\d{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' + v_stride <= p_before
        ORDER BY c.relname
    LOOP
        IF NOT v_locked THEN
            EXECUTE format('LOCK TABLE ONLY _otel.%I IN ACCESS EXCLUSIVE MODE', p_table);
            v_locked := true;
        END IF;
        BEGIN
            -- Another session may have dropped it before the lock was granted.
            EXECUTE format('DROP TABLE IF EXISTS _otel.%I', v_name);
            v_dropped := v_dropped + 1;
        EXCEPTION
            WHEN dependent_objects_still_exist THEN NULL;
            WHEN lock_not_available THEN EXIT;
        END;
    END LOOP;
    RETURN v_dropped;
END
$$;
