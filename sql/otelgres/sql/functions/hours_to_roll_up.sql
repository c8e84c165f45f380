-- First step of rolling up hours: moves those that are over and have changed to rollup_hours_in_progress, and returns
-- all in progress; none while another receiver does this step or the last one. The caller commits, then calls
-- _otel.wait_for_writers in a transaction of its own, then _otel.roll_up_hour for each. A concurrent writer has either
-- finished by then, so its minutes are counted, or it marks the hour again.
DROP FUNCTION IF EXISTS _otel.hours_to_roll_up(timestamptz);
CREATE FUNCTION _otel.hours_to_roll_up(p_before timestamptz) RETURNS TABLE (hour timestamptz, taken bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF NOT pg_has_role(session_user, current_user, 'MEMBER') THEN
        p_before := least(p_before, now());
    END IF;
    BEGIN
        LOCK TABLE ONLY _otel.lock_hours IN EXCLUSIVE MODE NOWAIT;
    EXCEPTION WHEN lock_not_available THEN
        RETURN;
    END;
    WITH marked AS (
        DELETE FROM _otel.rollup_hours_changed WHERE hour + interval '1 hour' < p_before RETURNING hour
    )
    INSERT INTO _otel.rollup_hours_in_progress AS p (hour) SELECT DISTINCT hour FROM marked ORDER BY hour
    ON CONFLICT (hour) DO UPDATE SET taken = p.taken + 1;
    RETURN QUERY SELECT hour, taken FROM _otel.rollup_hours_in_progress ORDER BY hour;
END
$$;
