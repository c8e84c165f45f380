-- Reads the view, so that everyone who may read it may call this. Points of ten minutes before p_from are the base of
-- the first ones.
CREATE OR REPLACE FUNCTION otel.metric_rate(
    p_metric text, p_from timestamptz, p_to timestamptz, p_step interval, p_service text DEFAULT NULL,
    p_attributes jsonb DEFAULT '{}')
RETURNS TABLE ("time" timestamptz, service_name text, attributes jsonb, rate double precision, increase double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_step CONSTANT double precision := greatest(extract(epoch FROM p_step)::double precision, 0.001);
    v_from_nano CONSTANT bigint := (extract(epoch FROM p_from) * 1000000000)::bigint;
BEGIN
    RETURN QUERY
    WITH points AS (
        SELECT m.time, m.service_name, m.attributes, m.temporality, m.is_monotonic, m.start_time_unix_nano,
               m.time_unix_nano, coalesce(m.value, m.count::double precision) AS value,
               lag(coalesce(m.value, m.count::double precision)) OVER w AS before,
               lag(m.time_unix_nano) OVER w AS before_nano
        FROM otel.metric_points m
        WHERE m.metric_name = p_metric
          AND m.time > p_from - interval '10 minutes' AND m.time <= p_to
          AND m.type <> 'gauge' AND NOT m.no_recorded_value
          AND (p_service IS NULL OR m.service_name = p_service)
          AND m.attributes @> p_attributes
        WINDOW w AS (PARTITION BY m.series_id ORDER BY m.time_unix_nano, m.start_time_unix_nano)
    ), increases AS (
        SELECT to_timestamp(floor(extract(epoch FROM p.time)::double precision / v_step) * v_step) AS time,
               p.service_name, p.attributes,
               CASE
                   WHEN p.temporality = 'DELTA' THEN p.value
                   -- It was reset: its value is the increase since then.
                   WHEN p.start_time_unix_nano >= coalesce(p.before_nano, v_from_nano) THEN p.value
                   WHEN p.before IS NULL THEN NULL
                   WHEN p.is_monotonic IS NOT false AND p.value < p.before THEN p.value
                   ELSE p.value - p.before
               END AS increase
        FROM points p
        WHERE p.time > p_from
    )
    SELECT i.time, i.service_name, i.attributes, sum(i.increase) / v_step, sum(i.increase)
    FROM increases i
    WHERE i.increase IS NOT NULL
    GROUP BY i.time, i.service_name, i.attributes
    ORDER BY i.time, i.service_name, i.attributes;
END
$$;
COMMENT ON FUNCTION otel.metric_rate(text, timestamptz, timestamptz, interval, text, jsonb) IS
    'Rate of a sum per second, and its increase in each step (time is its start), by service and attributes; for a '
    'histogram or summary, of its count. A cumulative value that was reset (new start time, or smaller than before) '
    'counts from zero. Instances of a service are summed. Gauges have no rate.';
