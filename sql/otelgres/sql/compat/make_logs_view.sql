CREATE OR REPLACE FUNCTION compat.make_logs_view(p_prefix text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_relation CONSTANT text := p_prefix || '_logs';
    v_view CONSTANT text := 'compat.' || quote_ident(v_relation);
    v_line text;
BEGIN
    -- PostgreSQL truncates names to 63 bytes.
    IF p_prefix IS NULL OR p_prefix !~ '^[a-z_][a-z0-9_]{0,57}$' THEN
        RAISE EXCEPTION 'a table prefix must be 1 to 58 lower-case letters, digits and underscores, and not begin with a digit: %',
            coalesce(quote_literal(p_prefix), 'NULL') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass(v_view) IS NOT NULL AND NOT EXISTS (SELECT FROM _otel.logs_views WHERE prefix = p_prefix) THEN
        RAISE EXCEPTION 'relation % already exists: choose another table prefix', v_view
            USING ERRCODE = 'duplicate_table';
    END IF;
    INSERT INTO _otel.logs_views (prefix) VALUES (p_prefix) ON CONFLICT (prefix) DO NOTHING;
    PERFORM _otel.define_view(v_relation::name,
        '{"process_id": {"attributes": ["process.pid", "resource:process.pid"], "type": "integer"},
          "thread_id": {"attributes": ["thread.id"], "type": "bigint"},
          "thread_name": {"attributes": ["thread.name"], "type": "text"},
          "hostname": {"attributes": ["resource:host.name"], "type": "text"},
          "function_name": {"attributes": ["code.function.name"], "type": "text"},
          "lineno": {"attributes": ["code.line.number"], "type": "integer"},
          "pathname": {"attributes": ["code.file.path"], "type": "text"}}',
        replace($view$
SELECT ((l.time_unix_nano / 1000) << 11) | (coalesce(hashtextextended(l.uid::text, 0), 0) & 2047) AS id,
       l.time AS "timestamp",
       (CASE
           WHEN l.severity_text = 'WARN' THEN 'WARNING'
           WHEN l.severity_text = 'FATAL' THEN 'CRITICAL'
           WHEN l.severity_text <> '' THEN l.severity_text
           WHEN l.severity_number >= 21 THEN 'CRITICAL'
           WHEN l.severity_number >= 17 THEN 'ERROR'
           WHEN l.severity_number >= 13 THEN 'WARNING'
           WHEN l.severity_number >= 9 THEN 'INFO'
           WHEN l.severity_number >= 1 THEN 'DEBUG'
           ELSE 'NOTSET'
       END)::varchar(10) AS level,
       coalesce(c.name, '')::varchar(255) AS logger_name,
       coalesce({{process_id}}, 0) AS process_id,
       coalesce({{thread_id}}, 0) AS thread_id,
       {{thread_name}}::varchar(255) AS thread_name,
       coalesce({{hostname}}, '')::varchar(255) AS hostname,
       coalesce(l.body, l.body_value ->> '$string', l.body_value #>> '{}', '') AS message,
       coalesce(attributes ->> 'exception.stacktrace',
                (attributes ->> 'exception.type') || coalesce(': ' || (attributes ->> 'exception.message'), '')) AS exception,
       {{function_name}}::varchar(255) AS function_name,
       regexp_replace(regexp_replace({{pathname}}, '^.*[/\\]', ''), '(?<=.)\.[^.]*$', '')::varchar(255) AS module,
       regexp_replace({{pathname}}, '^.*[/\\]', '')::varchar(500) AS filename,
       {{lineno}} AS lineno,
       {{pathname}} AS pathname,
       nullif(attributes - '{process.pid,thread.id,thread.name,asyncio.task.name,code.function.name,code.file.path,
                             code.line.number,exception.type,exception.message,exception.stacktrace,
                             log.record.uid}'::text[], '{}') AS extra_data,
       l.received_at AS created_at{{...}}
FROM _otel.logs l
JOIN (SELECT d.id, d.attributes AS resource_attributes FROM _otel.resources d
      WHERE d.attributes ->> 'otelgres.table_prefix' = {{prefix}}) r ON r.id = l.resource_id
LEFT JOIN (SELECT s.id, s.name FROM _otel.scopes s) c ON c.id = l.scope_id
WHERE l.event_name IS NULL OR l.event_name NOT LIKE 'otelgres.%'
$view$, '{{prefix}}', quote_literal(p_prefix)));
    FOR v_line IN
        SELECT format('COMMENT ON VIEW %s IS %L', v_view,
            'Log records of the applications with table prefix ' || p_prefix || '. Filter by timestamp; newest first by timestamp is an index scan.')
        UNION ALL
        SELECT format('COMMENT ON COLUMN %s.%I IS %L', v_view, column_name, comment)
        FROM (VALUES
            ('id', 'Stable id of the record, increasing with time. Two records of the same microsecond have the same id with a probability of 1 in 2,048.'),
            ('timestamp', 'When it was logged.'),
            ('level', 'The level, as in Python''s logging.'),
            ('logger_name', 'The logger.'),
            ('process_id', 'The process id.'),
            ('thread_id', 'The thread id.'),
            ('thread_name', 'Name of the thread.'),
            ('hostname', 'The host.'),
            ('message', 'The message, formatted.'),
            ('exception', 'Traceback of the logged exception; NULL if none.'),
            ('function_name', 'The function that logged.'),
            ('module', 'Name of the source file without suffix.'),
            ('filename', 'Name of the source file.'),
            ('lineno', 'Line in the source file.'),
            ('pathname', 'Path of the source file.'),
            ('extra_data', 'Fields given by extra=, and attributes of its context; NULL if none.'),
            ('created_at', 'When it was stored.')
        ) AS comments (column_name, comment)
        UNION ALL
        SELECT format('ALTER VIEW %s OWNER TO otelgres_owner', v_view)
        FROM pg_class o JOIN pg_roles g ON g.rolname = 'otelgres_owner'
        WHERE o.oid = v_view::regclass AND o.relowner <> g.oid AND pg_has_role(current_user, g.oid, 'MEMBER')
        UNION ALL
        SELECT format('GRANT SELECT ON %s TO otelgres_reader', v_view) FROM pg_roles WHERE rolname = 'otelgres_reader'
    LOOP
        EXECUTE v_line;
    END LOOP;
    RETURN v_view;
END
$$;

COMMENT ON FUNCTION compat.make_logs_view(text) IS
    'Creates the view compat.<prefix>_logs, with the columns of a logger''s own table, over the log records of '
    'applications that call initialize_logger with this table prefix; returns its name. May be called repeatedly. '
    'Only the owner may call it.';
