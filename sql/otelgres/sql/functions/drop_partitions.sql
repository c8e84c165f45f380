-- Drops the partitions of _otel.<p_table> that contain nothing newer than p_before; returns their number. The partition
-- of out-of-range times is kept as long as any day is kept, because the age of its rows is unknown.
CREATE OR REPLACE FUNCTION _otel.drop_partitions(p_table text, p_before timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
    v_stride interval;
    v_name text;
    v_dropped integer := 0;
BEGIN
    SELECT stride INTO STRICT v_stride FROM _otel.partitioned WHERE name = p_table;
    PERFORM pg_advisory_xact_lock(hashtext('_otel.make_partition'));
    FOR v_name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = format('_otel.%I', p_table)::regclass
          AND c.relname ~ '_\d{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' + v_stride <= p_before
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE _otel.%I', v_name);
        v_dropped := v_dropped + 1;
    END LOOP;
    RETURN v_dropped;
END
$$;
