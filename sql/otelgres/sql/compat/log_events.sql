SELECT _otel.define_view('log_events',
'{"execution_phase": {"attributes": ["execution_phase", "phase"], "type": "text"},
  "terminal_id": {"attributes": ["terminal_id", "terminal.id"], "type": "text"},
  "region_code": {"attributes": ["region_code", "region.code"], "type": "text"},
  "line_number": {"attributes": ["code.line.number", "code.lineno"], "type": "integer"},
  "error_details": {"attributes": ["error_details"], "type": "jsonb"},
  "performance_metrics": {"attributes": ["performance_metrics"], "type": "jsonb"}}', $view$
SELECT hashtextextended(coalesce(l.uid::text, (l.trace_id, l.span_id, l.time_unix_nano, l.body)::text), 0) AS id,
       l.time AS "timestamp",
       l.trace_id AS execution_id,
       -- Must be identical to the expression of the index logs_problems.
       CASE
           WHEN l.severity_number BETWEEN 1 AND 4 THEN 'TRACE'
           WHEN l.severity_number BETWEEN 5 AND 8 THEN 'DEBUG'
           WHEN l.severity_number BETWEEN 9 AND 12 THEN 'INFO'
           WHEN l.severity_number BETWEEN 13 AND 16 THEN 'WARNING'
           WHEN l.severity_number BETWEEN 17 AND 20 THEN 'ERROR'
           WHEN l.severity_number BETWEEN 21 AND 24 THEN 'CRITICAL'
           ELSE 'NOTSET'
       END AS level,
       c.name AS logger_name,
       coalesce(l.body, l.body_value ->> '$string', l.body_value #>> '{}', '') AS message,
       substring(coalesce(attributes ->> 'code.file.path', attributes ->> 'code.filepath') FROM '([^/\\]+?)(?:\.pyc?)?$')
           AS module,
       coalesce(attributes ->> 'code.function.name', attributes ->> 'code.function') AS function_name,
       {{line_number}} AS line_number,
       -- If the record names no phase: the phase in whose span it was written, after that has ended.
       coalesce({{execution_phase}}, (
           SELECT p.name FROM _otel.spans p
           WHERE p.trace_id = l.trace_id AND p.span_id = l.span_id AND p.role = 2
               AND p.start_time <= l.time AND p.start_time > l.time - interval '1 day'
       )) AS execution_phase,
       {{terminal_id}} AS terminal_id,
       {{region_code}} AS region_code,
       coalesce({{error_details}}, CASE WHEN attributes ? 'exception.type' THEN jsonb_build_object(
           'type', attributes -> 'exception.type',
           'message', attributes -> 'exception.message',
           'stack', attributes -> 'exception.stacktrace',
           'context', coalesce(attributes -> 'error_context', '{}') || attributes
               - '{error_context,exception.type,exception.message,exception.stacktrace,exception.escaped,code.file.path,
                   code.function.name,code.line.number,process.pid,thread.id,thread.name,asyncio.task.name,
                   log.record.uid,performance_metrics}'::text[]
       ) END) AS error_details,
       {{performance_metrics}} AS performance_metrics,
       l.received_at AS created_at{{...}}
FROM _otel.logs l
LEFT JOIN (SELECT r.id, r.attributes AS resource_attributes FROM _otel.resources r) r ON r.id = l.resource_id
LEFT JOIN (SELECT s.id, s.name FROM _otel.scopes s) c ON c.id = l.scope_id
WHERE l.trace_id IS NOT NULL AND (l.event_name IS NULL OR l.event_name NOT LIKE 'otelgres.%')
$view$);

COMMENT ON VIEW compat.log_events IS
    'Log records written in a run or any other trace. Filter by timestamp or execution_id.';
COMMENT ON COLUMN compat.log_events.id IS 'Stable id of the record.';
COMMENT ON COLUMN compat.log_events."timestamp" IS 'When it was written.';
COMMENT ON COLUMN compat.log_events.execution_id IS 'The run: its trace id as uuid.';
COMMENT ON COLUMN compat.log_events.level IS
    'DEBUG, INFO, WARNING, ERROR or CRITICAL, as in Python''s logging; TRACE below them, NOTSET if not set.';
COMMENT ON COLUMN compat.log_events.logger_name IS 'The logger.';
COMMENT ON COLUMN compat.log_events.message IS 'The message; a structured one as JSON text.';
COMMENT ON COLUMN compat.log_events.module IS 'Name of the source file, without folder and suffix.';
COMMENT ON COLUMN compat.log_events.function_name IS 'The function that wrote it.';
COMMENT ON COLUMN compat.log_events.line_number IS 'The line that wrote it.';
COMMENT ON COLUMN compat.log_events.execution_phase IS
    'The phase of the run: from attribute execution_phase or phase, else the phase in whose span it was written.';
COMMENT ON COLUMN compat.log_events.terminal_id IS 'From attribute terminal_id.';
COMMENT ON COLUMN compat.log_events.region_code IS 'From attribute region_code.';
COMMENT ON COLUMN compat.log_events.error_details IS
    'For a record with an exception {type, message, stack, context}, or the contents of attribute error_details.';
COMMENT ON COLUMN compat.log_events.performance_metrics IS 'From attribute performance_metrics.';
COMMENT ON COLUMN compat.log_events.created_at IS 'When it was stored.';
