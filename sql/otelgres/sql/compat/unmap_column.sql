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
    'Takes back what compat.map_column did to a column; false if that was nothing. Views on the column must go first.';
