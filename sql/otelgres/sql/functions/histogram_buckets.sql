-- Each point contributes its buckets minus those of the previous point, if it continues its count: the difference is
-- what was observed in between. Exponential buckets of a finer scale map exactly to those of a coarser one.
CREATE OR REPLACE FUNCTION otel.histogram_buckets(
    p_metric text, p_from timestamptz, p_to timestamptz, p_step interval, p_service text DEFAULT NULL,
    p_attributes jsonb DEFAULT '{}')
RETURNS TABLE ("time" timestamptz, lower double precision, upper double precision, count bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_step CONSTANT double precision := greatest(extract(epoch FROM p_step)::double precision, 0.001);
    v_from_nano CONSTANT bigint := (extract(epoch FROM p_from) * 1000000000)::bigint;
BEGIN
    RETURN QUERY
    WITH points AS (
        SELECT row_number() OVER w AS n, m.series_id, m.time, m.time_unix_nano, m.start_time_unix_nano, m.temporality,
               m.count, m.explicit_bounds, m.bucket_counts, m.scale, m.zero_count, m.zero_threshold,
               m.positive_offset, m.positive_counts, m.negative_offset, m.negative_counts
        FROM otel.metric_points m
        WHERE m.metric_name = p_metric
          AND m.time > p_from - interval '10 minutes' AND m.time <= p_to
          AND m.type IN ('histogram', 'exponential_histogram') AND NOT m.no_recorded_value
          AND (p_service IS NULL OR m.service_name = p_service)
          AND m.attributes @> p_attributes
        WINDOW w AS (PARTITION BY m.series_id ORDER BY m.time_unix_nano, m.start_time_unix_nano)
    ), steps AS (
        SELECT to_timestamp(floor(extract(epoch FROM p.time)::double precision / v_step) * v_step) AS time,
               p.series_id, p.n, p.scale,
               b.n AS before_n,
               p.temporality = 'DELTA'
                   OR p.start_time_unix_nano >= coalesce(b.time_unix_nano, v_from_nano)
                   OR (b.n IS NOT NULL AND (
                       p.count < b.count OR p.explicit_bounds IS DISTINCT FROM b.explicit_bounds OR coalesce(p.scale > b.scale, false)))
                   AS is_reset
        FROM points p LEFT JOIN points b ON b.series_id = p.series_id AND b.n = p.n - 1
        WHERE p.time > p_from
    ), shares AS (
        SELECT s.time, s.series_id, s.n, s.scale, 1 AS sign FROM steps s WHERE s.is_reset OR s.before_n IS NOT NULL
        UNION ALL
        SELECT s.time, s.series_id, s.before_n, s.scale, -1 FROM steps s WHERE NOT s.is_reset AND s.before_n IS NOT NULL
    ), buckets AS (
        SELECT s.time, s.sign * e.count AS count,
               coalesce(p.explicit_bounds[e.i - 1], '-Infinity') AS lower,
               coalesce(p.explicit_bounds[e.i], 'Infinity') AS upper
        FROM shares s JOIN points p USING (series_id, n)
        CROSS JOIN LATERAL unnest(p.bucket_counts) WITH ORDINALITY AS e (count, i)
        UNION ALL
        SELECT s.time, s.sign * p.zero_count, -coalesce(p.zero_threshold, 0), coalesce(p.zero_threshold, 0)
        FROM shares s JOIN points p USING (series_id, n)
        WHERE p.zero_count > 0
        UNION ALL
        SELECT s.time, s.sign * e.count, power(2::double precision, x.i * x.width), power(2::double precision, (x.i + 1) * x.width)
        FROM shares s JOIN points p USING (series_id, n)
        CROSS JOIN LATERAL unnest(p.positive_counts) WITH ORDINALITY AS e (count, i)
        CROSS JOIN LATERAL (
            SELECT floor((p.positive_offset + e.i - 1) / power(2::double precision, p.scale - s.scale)) AS i,
                   power(2::double precision, -s.scale) AS width
        ) x
        WHERE e.count > 0
        UNION ALL
        SELECT s.time, s.sign * e.count, -power(2::double precision, (x.i + 1) * x.width), -power(2::double precision, x.i * x.width)
        FROM shares s JOIN points p USING (series_id, n)
        CROSS JOIN LATERAL unnest(p.negative_counts) WITH ORDINALITY AS e (count, i)
        CROSS JOIN LATERAL (
            SELECT floor((p.negative_offset + e.i - 1) / power(2::double precision, p.scale - s.scale)) AS i,
                   power(2::double precision, -s.scale) AS width
        ) x
        WHERE e.count > 0
    )
    SELECT b.time, b.lower, b.upper, sum(b.count)::bigint
    FROM buckets b
    GROUP BY b.time, b.lower, b.upper
    HAVING sum(b.count) > 0
    ORDER BY b.time, b.upper, b.lower;
END
$$;
COMMENT ON FUNCTION otel.histogram_buckets(text, timestamptz, timestamptz, interval, text, jsonb) IS
    'Observations of histograms with this name (explicit or exponential) in each step (time is its start): the number '
    'of values above lower and up to upper. Cumulative histograms are converted to increases, including restarts; '
    'services, instances and attributes are summed.';
