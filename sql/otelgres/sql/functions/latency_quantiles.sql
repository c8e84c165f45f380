-- Quantiles of a latency histogram. In plpgsql, and several quantiles per call, because span_stats calls it for each
-- row: an SQL function would start an executor for each call (measured 80 µs against 10).
CREATE OR REPLACE FUNCTION otel.latency_quantiles(p_buckets smallint[], p_counts bigint[], p_quantiles double precision[])
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_buckets smallint[] := p_buckets;
    v_counts bigint[] := p_counts;
    v_length CONSTANT integer := cardinality(p_counts);
    v_total bigint := 0;
    v_quantile double precision;
    v_seen bigint;
    v_at integer;
    v_result double precision[] := '{}';
BEGIN
    FOR v_i IN 2 .. coalesce(v_length, 0) LOOP
        IF v_buckets[v_i] < v_buckets[v_i - 1] THEN  -- several concatenated histograms
            SELECT array_agg(b.bucket ORDER BY b.bucket), array_agg(b.count ORDER BY b.bucket)
            INTO v_buckets, v_counts
            FROM unnest(p_buckets, p_counts) AS b (bucket, count);
            EXIT;
        END IF;
    END LOOP;
    FOR v_i IN 1 .. coalesce(v_length, 0) LOOP
        v_total := v_total + v_counts[v_i];
    END LOOP;
    FOREACH v_quantile IN ARRAY p_quantiles LOOP
        v_at := 1;
        v_seen := v_counts[1];
        WHILE v_at < v_length AND v_seen < v_quantile * v_total LOOP
            v_at := v_at + 1;
            v_seen := v_seen + v_counts[v_at];
        END LOOP;
        v_result := array_append(v_result, power(2::double precision, v_buckets[v_at] / 4::double precision) / 1e6);
    END LOOP;
    RETURN v_result;
END
$$;
COMMENT ON FUNCTION otel.latency_quantiles(smallint[], bigint[], double precision[]) IS
    'Quantiles (each 0 to 1) in milliseconds of a latency histogram of otel.span_stats, within 9 %. To merge the '
    'histograms of several rows, concatenate their arrays: otel.array_concat(latency_buckets). NULLs if the histogram '
    'is empty.';
