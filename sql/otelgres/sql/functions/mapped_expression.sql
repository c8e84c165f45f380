-- The SQL expression that reads a column from attributes: the first key that is present. A value that is not of the
-- type is NULL, so that one invalid record does not fail a query. A key that begins with `resource:` is an attribute of
-- the resource. All user input passes through quote_literal or format_type.
CREATE OR REPLACE FUNCTION _otel.mapped_expression(p_attributes text[], p_type text) RETURNS text
LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_type CONSTANT text := format_type(p_type::regtype, NULL);
    v_operator CONSTANT text := CASE WHEN v_type = 'jsonb' THEN '->' ELSE '->>' END;
    v_value text;
BEGIN
    SELECT string_agg(
        CASE WHEN a.key LIKE 'resource:%' THEN format('resource_attributes %s %L', v_operator, substr(a.key, 10))
             ELSE format('attributes %s %L', v_operator, a.key) END, ', ' ORDER BY a.n)
    INTO v_value
    FROM unnest(p_attributes) WITH ORDINALITY AS a (key, n);
    v_value := CASE WHEN cardinality(p_attributes) > 1 THEN format('coalesce(%s)', v_value) ELSE format('(%s)', v_value) END;
    IF v_type IN ('text', 'jsonb') THEN
        RETURN v_value;
    END IF;
    RETURN format('CASE WHEN pg_input_is_valid(%s, %L) THEN %s::%s END', v_value, v_type, v_value, v_type);
END
$$;
