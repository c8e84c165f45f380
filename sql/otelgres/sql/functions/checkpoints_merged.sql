-- Merges two arrays of checkpoints: in order of time, without duplicates, the latest 256.
CREATE OR REPLACE FUNCTION _otel.checkpoints_merged(p_a _otel.checkpoint[], p_b _otel.checkpoint[])
RETURNS _otel.checkpoint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN p_a IS NULL THEN p_b
        WHEN p_b IS NULL THEN p_a
        ELSE ARRAY(
            SELECT c FROM (
                SELECT c FROM (SELECT unnest(p_a || p_b) AS c) u ORDER BY c DESC LIMIT 256
            ) latest ORDER BY c
        )
    END
$$;
