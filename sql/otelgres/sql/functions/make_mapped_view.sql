-- (Re)creates one relation of schema compat from its template and the current mapping: in place if possible, else by
-- drop and create, with its comments and grants restored. Raises PostgreSQL's error if other objects depend on a
-- dropped column.
CREATE OR REPLACE FUNCTION _otel.make_mapped_view(p_relation name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_name CONSTANT text := format('compat.%I', p_relation);
    v_text text;
    v_columns jsonb;
    v_column record;
    v_added text := '';
    v_kept text;
BEGIN
    SELECT template, columns INTO STRICT v_text, v_columns FROM _otel.mapped_views WHERE relation = p_relation;
    FOR v_column IN
        SELECT coalesce(b.key, m.name::text) AS name, b.key IS NULL AS is_added,
               CASE WHEN m.name IS NULL THEN '{}' ELSE ARRAY[m.attribute] END
                   || ARRAY(SELECT jsonb_array_elements_text(b.value -> 'attributes')) AS attributes,
               coalesce(b.value ->> 'type', m.type) AS type, m.number
        FROM jsonb_each(v_columns) b
        FULL JOIN (SELECT * FROM _otel.mapped_columns WHERE relation = p_relation) m ON m.name = b.key
        ORDER BY m.number
    LOOP
        IF v_column.is_added THEN
            v_added := v_added || format(E',\n       %s AS %I', _otel.mapped_expression(v_column.attributes, v_column.type), v_column.name);
        ELSE
            v_text := replace(v_text, '{{' || v_column.name || '}}', _otel.mapped_expression(v_column.attributes, v_column.type));
        END IF;
    END LOOP;
    v_text := replace(v_text, '{{...}}', v_added);
    BEGIN
        EXECUTE format('CREATE OR REPLACE VIEW %s AS %s', v_name, v_text);
    EXCEPTION WHEN invalid_table_definition THEN
        SELECT string_agg(s.statement, '; ') INTO v_kept
        FROM (
            SELECT CASE WHEN d.objsubid = 0 THEN format('COMMENT ON VIEW %s IS %L', v_name, d.description)
                        ELSE format('COMMENT ON COLUMN %s.%I IS %L', v_name, a.attname, d.description) END AS statement
            FROM pg_description d
            LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0
            WHERE d.classoid = 'pg_class'::regclass AND d.objoid = v_name::regclass
                AND (d.objsubid = 0 OR a.attname::text IN (
                    SELECT jsonb_object_keys(v_columns) UNION SELECT name FROM _otel.mapped_columns WHERE relation = p_relation))
            UNION ALL
            SELECT format('GRANT %s ON %s TO %s', g.privilege_type, v_name,
                          CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(g.grantee)) END)
            FROM pg_class c, aclexplode(c.relacl) g
            WHERE c.oid = v_name::regclass AND g.grantee <> c.relowner
        ) s;
        EXECUTE format('DROP VIEW %s', v_name);
        EXECUTE format('CREATE VIEW %s AS %s', v_name, v_text);
        IF v_kept IS NOT NULL THEN
            EXECUTE v_kept;
        END IF;
    END;
    EXECUTE format('REVOKE ALL ON TYPE %s FROM PUBLIC', v_name);
END
$$;
