CREATE OR REPLACE FUNCTION otel.histogram_quantiles(
    p_metric text, p_from timestamptz, p_to timestamptz, p_step interval,
    p_quantiles double precision[] DEFAULT '{0.5,0.95,0.99}', p_service text DEFAULT NULL, p_attributes jsonb DEFAULT '{}')
RETURNS TABLE ("time" timestamptz, quantile double precision, value double precision, count bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH counted AS (
        SELECT b.time, b.lower, b.upper, b.count,
               (sum(b.count) OVER w - b.count)::double precision AS below,
               sum(b.count) OVER (PARTITION BY b.time) AS total
        FROM otel.histogram_buckets(p_metric, p_from, p_to, p_step, p_service, p_attributes) b
        WINDOW w AS (PARTITION BY b.time ORDER BY b.upper, b.lower)
    ), hit AS (
        SELECT DISTINCT ON (c.time, q.quantile) c.*, q.quantile
        FROM unnest(p_quantiles) AS q (quantile)
        JOIN counted c ON c.below + c.count >= q.quantile * c.total
        ORDER BY c.time, q.quantile, c.upper, c.lower
    )
    SELECT h.time, h.quantile,
           CASE
               -- Of an open bucket only the finite bound is known.
               WHEN h.upper = 'Infinity' THEN nullif(h.lower, '-Infinity')
               WHEN h.lower = '-Infinity' AND h.upper <= 0 THEN h.upper
               ELSE (SELECT l.low + (h.upper - l.low) * greatest(h.quantile * h.total - h.below, 0) / h.count
                     FROM (SELECT CASE WHEN h.lower = '-Infinity' THEN 0 ELSE h.lower END AS low) l)
           END,
           h.total::bigint
    FROM hit h
    ORDER BY h.time, h.quantile;
END
$$;
COMMENT ON FUNCTION otel.histogram_quantiles(text, timestamptz, timestamptz, interval, double precision[], text, jsonb) IS
    'Quantiles (each 0 to 1) of the observations of histograms with this name in each step, interpolated linearly '
    'within a bucket: value in the unit of the metric, count of observations. In the last bucket of explicit bounds, '
    'the largest bound; NULL if unknown.';
