-- Counts those of the given rows (an array of objects, column -> value) whose key is stored in _otel.<p_table> with other
-- values in any column but received_at. For writers, which cannot read stored rows: whoever guesses has to guess all
-- columns at once.
CREATE OR REPLACE FUNCTION _otel.other_content(p_table text, p_rows jsonb) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    v_key text;
    v_new text;
    v_stored text;
    v_count bigint;
BEGIN
    IF p_table NOT IN ('spans', 'logs', 'number_points', 'histogram_points', 'exponential_histogram_points', 'summary_points')
    THEN
        RAISE EXCEPTION 'no telemetry table: %', p_table USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(format('s.%1$I = t.%1$I', a.attname), ' AND ') INTO STRICT v_key
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    WHERE i.indrelid = format('_otel.%I', p_table)::regclass AND i.indisunique;
    -- A JSON null is SQL's NULL in p_rows.
    SELECT string_agg(format(f.form, 's', a.attname), ', '), string_agg(format(f.form, 't', a.attname), ', ')
    INTO STRICT v_new, v_stored
    FROM pg_attribute a
    CROSS JOIN LATERAL (SELECT CASE a.atttypid WHEN 'jsonb'::regtype THEN 'nullif(%I.%I, ''null'')' ELSE '%I.%I' END AS form) f
    WHERE a.attrelid = format('_otel.%I', p_table)::regclass AND a.attnum > 0 AND NOT a.attisdropped
        AND a.attgenerated = '' AND a.attname <> 'received_at';
    -- LIMIT forces an index lookup for each key. While a new partition has no statistics, the planner would choose a join
    -- that reads whole partitions.
    EXECUTE format(
        'SELECT count(*) FROM jsonb_populate_recordset(NULL::_otel.%1$I, $1) s '
        'CROSS JOIN LATERAL (SELECT * FROM _otel.%1$I t WHERE %2$s LIMIT 1) t WHERE (%3$s) IS DISTINCT FROM (%4$s)',
        p_table, v_key, v_new, v_stored)
    INTO v_count USING p_rows;
    RETURN v_count;
END
$$;
