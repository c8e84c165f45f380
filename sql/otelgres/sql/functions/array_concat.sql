-- PostgreSQL has no such aggregate: array_agg of arrays adds a dimension and requires equal lengths.
DO $$
BEGIN
    IF to_regprocedure('otel.array_concat(anycompatiblearray)') IS NULL THEN
        CREATE AGGREGATE otel.array_concat(anycompatiblearray) (
            SFUNC = pg_catalog.array_cat, STYPE = anycompatiblearray, COMBINEFUNC = pg_catalog.array_cat, PARALLEL = SAFE);
    END IF;
END
$$;
COMMENT ON AGGREGATE otel.array_concat(anycompatiblearray) IS
    'Concatenates the arrays of all rows, in the order of the rows. For the histograms of otel.span_stats.';
