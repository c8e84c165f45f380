-- First step of rolling up hours: moves those that are over and have changed to rollup_hours_in_progress, and returns
-- all in progress. The caller commits, then calls _otel.wait_for_writers in a transaction of its own, then
-- _otel.roll_up_hour for each. A concurrent writer has either finished by then, so its minutes are counted, or it marks
-- the hour again.
CREATE OR REPLACE FUNCTION _otel.hours_to_roll_up(p_before timestamptz) RETURNS SETOF timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH taken AS (
        DELETE FROM _otel.rollup_hours_changed WHERE hour + interval '1 hour' < p_before RETURNING hour
    )
    INSERT INTO _otel.rollup_hours_in_progress (hour) SELECT DISTINCT hour FROM taken ORDER BY hour ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT hour FROM _otel.rollup_hours_in_progress ORDER BY hour;
END
$$;
