CREATE OR REPLACE FUNCTION compat.map_column(p_relation text, p_column text, p_attribute text, p_type text DEFAULT 'text')
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_columns jsonb;
BEGIN
    SELECT columns INTO v_columns FROM _otel.mapped_views WHERE relation = p_relation;
    IF v_columns IS NULL THEN
        RAISE EXCEPTION 'unknown mapped relation compat.%', p_relation
            USING HINT = 'List them with SELECT DISTINCT relation FROM compat.mapped_columns.', ERRCODE = 'undefined_table';
    END IF;
    IF NOT pg_input_is_valid(p_type, 'regtype') THEN
        RAISE EXCEPTION 'unknown type %', p_type USING ERRCODE = 'undefined_object';
    END IF;
    IF NOT v_columns ? p_column AND EXISTS (
        SELECT FROM pg_attribute a
        WHERE a.attrelid = format('compat.%I', p_relation)::regclass AND a.attname = p_column AND a.attnum > 0
            AND NOT EXISTS (SELECT FROM _otel.mapped_columns m WHERE m.relation = p_relation AND m.name = p_column)
    ) THEN
        RAISE EXCEPTION 'column % of compat.% is not filled from an attribute', p_column, p_relation
            USING ERRCODE = 'wrong_object_type';
    END IF;
    INSERT INTO _otel.mapped_columns (relation, name, attribute, type) VALUES (p_relation, p_column, p_attribute, p_type)
    ON CONFLICT (relation, name) DO UPDATE SET attribute = excluded.attribute, type = excluded.type;
    PERFORM _otel.make_mapped_view(p_relation);
END
$$;

COMMENT ON FUNCTION compat.map_column(text, text, text, text) IS
    'Adds a column to a relation of schema compat, filled from an attribute of each record (`resource:key`: of its '
    'resource); for an existing column, gives this attribute precedence over the present ones. Only the owner may '
    'call it.';
