CREATE OR REPLACE FUNCTION compat.unmap_column(p_relation text, p_column text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM _otel.mapped_columns WHERE relation = p_relation AND name = p_column;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM _otel.make_mapped_view(p_relation);
    RETURN true;
END
$$;

COMMENT ON FUNCTION compat.unmap_column(text, text) IS
    'Reverts compat.map_column for a column; false if nothing was mapped. Views that use the column must be dropped '
    'first.';
