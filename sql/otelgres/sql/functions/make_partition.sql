-- Creates the partition of _otel.<p_table> for p_at if it is missing; returns whether it did. Safe for concurrent
-- calls; does not block readers or writers, nor wait for them (a table is created separately and then attached). For
-- others than the owner, days are limited to those that a receiver stores separately (past_days and future_days are at
-- most 400 and 7): every partition costs all queries a little.
CREATE OR REPLACE FUNCTION _otel.make_partition(p_table text, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    v_kind _otel.partitioned;
    v_lower timestamptz;
    v_name text;
    v_key text;
BEGIN
    SELECT * INTO STRICT v_kind FROM _otel.partitioned WHERE name = p_table;
    -- 2024-01-01 is a Monday: weeks are ISO weeks.
    v_lower := date_bin(v_kind.stride, p_at, '2024-01-01 00:00:00+00');
    IF v_lower >= '1970-01-05 00:00:00+00' AND NOT pg_has_role(session_user, current_user, 'MEMBER')
        AND (p_at < now() - interval '401 days' OR p_at > now() + interval '8 days')
    THEN
        RAISE EXCEPTION 'only the owner may create a partition for %', p_at
            USING HINT = 'Others: 400 days back, 7 days ahead.', ERRCODE = 'invalid_parameter_value';
    END IF;
    IF v_lower < '1970-01-05 00:00:00+00' THEN
        v_name := p_table || '_out_of_range';
    ELSE
        v_name := p_table || '_' || to_char(v_lower, 'YYYYMMDD');
    END IF;
    IF to_regclass(format('_otel.%I', v_name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    LOCK TABLE ONLY _otel.lock_partitions IN EXCLUSIVE MODE;
    -- Read from the catalog: to_regclass may use a snapshot from before the lock was granted.
    IF EXISTS (SELECT FROM pg_class WHERE relname = v_name AND relnamespace = '_otel'::regnamespace) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE _otel.%I (LIKE _otel.%I INCLUDING ALL)', v_name, p_table);
    EXECUTE format('REVOKE ALL ON TYPE _otel.%I FROM PUBLIC', v_name);
    IF v_kind.storage <> '' THEN
        EXECUTE format('ALTER TABLE _otel.%I SET (%s)', v_name, v_kind.storage);
    END IF;
    IF v_lower < '1970-01-05 00:00:00+00' THEN
        EXECUTE format('ALTER TABLE _otel.%I ATTACH PARTITION _otel.%I FOR VALUES FROM (MINVALUE) TO (%L)',
                       p_table, v_name, '1970-01-05 00:00:00+00');
    ELSE
        EXECUTE format('ALTER TABLE _otel.%I ATTACH PARTITION _otel.%I FOR VALUES FROM (%L) TO (%L)',
                       p_table, v_name, v_lower, v_lower + v_kind.stride);
    END IF;
    IF p_table = 'flow_parts' AND v_lower >= '1970-01-05 00:00:00+00' THEN
        -- Flows are filtered by start_time, but partitioned by week: the constraint lets the planner prune the other
        -- weeks. (By definition the earliest span of a part is in its week.)
        EXECUTE format('ALTER TABLE _otel.%I ADD CHECK (start_time >= %L AND start_time < %L)',
                       v_name, v_lower, v_lower + v_kind.stride);
    END IF;
    RETURN true;
END
$$;
