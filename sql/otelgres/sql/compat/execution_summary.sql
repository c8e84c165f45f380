SELECT _otel.define_view('execution_summary',
'{"demo_mode": {"attributes": ["demo_mode"], "type": "boolean"},
  "total_atms": {"attributes": ["total_atms"], "type": "integer"},
  "success": {"attributes": ["success"], "type": "boolean"},
  "failover_activated": {"attributes": ["failover_activated"], "type": "boolean"},
  "failure_type": {"attributes": ["failure_type"], "type": "text"},
  "connection_status": {"attributes": ["connection_status"], "type": "text"},
  "regional_records_processed": {"attributes": ["regional_records_processed"], "type": "integer"},
  "terminal_details_processed": {"attributes": ["terminal_details_processed"], "type": "integer"},
  "started_by": {"attributes": ["started_by", "user.id", "enduser.id"], "type": "text"},
  "performance_summary": {"attributes": ["performance_summary"], "type": "jsonb"}}', $view$
-- From the roll-up of flows, which a filter by start_time or execution_id finds by an index. Everything else is looked
-- up for those flows only; the planner removes `root` and `n` if none of their columns is used.
SELECT f.trace_id AS execution_id,
       f.start_time,
       e.end_time,
       round(extract(epoch FROM e.end_time - f.start_time))::integer AS duration_seconds,
       coalesce({{demo_mode}}, false) AS demo_mode,
       {{total_atms}} AS total_atms,
       CASE e.state
           WHEN 'ended' THEN coalesce({{success}}, f.root_status_code IS DISTINCT FROM 2)
           WHEN 'abandoned' THEN false
       END AS success,
       coalesce({{failover_activated}}, false) AS failover_activated,
       coalesce({{failure_type}}, CASE
           WHEN e.state = 'abandoned' THEN 'abandoned'
           WHEN e.state = 'ended' AND NOT coalesce({{success}}, f.root_status_code IS DISTINCT FROM 2)
           THEN coalesce(root.exception_type, 'failed')
       END) AS failure_type,
       {{connection_status}} AS connection_status,
       {{regional_records_processed}} AS regional_records_processed,
       {{terminal_details_processed}} AS terminal_details_processed,
       n.error_count,
       n.warning_count,
       n.info_count,
       jsonb_build_object('phases', coalesce((
           SELECT jsonb_object_agg(p.name, jsonb_build_object(
               'count', p.count, 'duration_ms', p.duration_ms, 'max_ms', p.max_ms, 'errors', p.errors))
           FROM (
               SELECT s.name, count(*) AS count,
                      round(sum((s.end_time_unix_nano - s.start_time_unix_nano) / 1e6), 3) AS duration_ms,
                      round(max((s.end_time_unix_nano - s.start_time_unix_nano) / 1e6), 3) AS max_ms,
                      count(*) FILTER (WHERE s.status_code = 2) AS errors
               FROM _otel.spans s
               WHERE s.trace_id = f.trace_id AND s.role = 2 AND s.start_time >= f.start_time AND s.start_time <= f.until
               GROUP BY s.name
           ) p), '{}'))
           || CASE WHEN jsonb_typeof({{performance_summary}}) = 'object' THEN {{performance_summary}} ELSE '{}' END AS performance_summary,
       n.created_at,
       f.flow_name AS name,
       e.state,
       {{started_by}} AS started_by,
       f.services{{...}}
FROM _otel.merged_flows f
LEFT JOIN LATERAL (
    -- An aggregate, so that the planner knows that there is one row, and computes it once for all columns.
    SELECT coalesce((array_agg(CASE WHEN s.role = 1 THEN s.attributes ELSE (
               SELECT i.attributes FROM _otel.spans i
               WHERE i.trace_id = f.trace_id AND i.role = 1 AND i.start_time >= f.start_time AND i.start_time <= f.until
               ORDER BY i.start_time_unix_nano LIMIT 1
           ) END))[1], CASE WHEN f.root_span_id IS NULL THEN (
               -- For a run whose root has not ended, the attributes of its events.
               SELECT jsonb_object_agg(v.key, v.value ORDER BY o.time_unix_nano)
               FROM _otel.logs o CROSS JOIN LATERAL jsonb_each(o.attributes) v
               WHERE o.trace_id = f.trace_id AND o.event_name = 'otelgres.run'
                   AND o.time >= f.start_time - interval '5 minutes'
           ) END) AS attributes,
           min(jsonb_path_query_first(s.events, '$[*] ? (@.name == "exception").attributes."exception.type"') #>> '{}')
               AS exception_type
    FROM _otel.spans s
    WHERE s.trace_id = f.trace_id AND s.span_id = f.root_span_id
        AND s.start_time >= f.start_time AND s.start_time <= f.until
) root ON true
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE l.is_event IS NOT TRUE AND l.severity_number >= 17)::integer AS error_count,
           count(*) FILTER (WHERE l.is_event IS NOT TRUE AND l.severity_number BETWEEN 13 AND 16)::integer AS warning_count,
           count(*) FILTER (WHERE l.is_event IS NOT TRUE AND l.severity_number BETWEEN 9 AND 12)::integer AS info_count,
           min(l.received_at) AS created_at
    FROM (
        SELECT o.severity_number, o.received_at, o.event_name LIKE 'otelgres.%' AS is_event
        FROM _otel.logs o
        WHERE o.trace_id = f.trace_id AND o.time >= f.start_time - interval '5 minutes'
            AND o.time <= CASE WHEN f.root_span_id IS NULL THEN 'infinity'
                               ELSE _otel.time_of(f.end_time_unix_nano) + interval '5 minutes' END
    ) l
) n ON true
LEFT JOIN LATERAL (
    -- In CASE: a filter would still visit the partitions for each of the many runs that have ended.
    SELECT max(u.known[1]::integer) AS state,
           max(CASE WHEN f.root_span_id IS NULL THEN greatest(
               _otel.time_of(f.end_time_unix_nano), u.known[2]::timestamptz, (
                   -- Not of the bare column: the planner would scan the index on time backwards through all logs.
                   SELECT max(o.time + interval '0') FROM _otel.logs o
                   WHERE o.trace_id = f.trace_id AND o.time >= f.start_time - interval '5 minutes'
               )) ELSE _otel.time_of(f.end_time_unix_nano) END) AS last_time
    FROM (
        SELECT CASE WHEN f.root_span_id IS NULL THEN (
            SELECT ARRAY[min(array_position('{running,silent,abandoned}', i.state))::text, max(i.last_seen)::text]
            FROM otel.in_flight i
            WHERE i.flow_id = f.trace_id AND i.type = 'flow' AND i.report_interval IS NOT NULL
                AND i.start_time >= f.start_time - interval '5 minutes'
        ) END AS known
        OFFSET 0
    ) u
) w ON true
CROSS JOIN LATERAL (
    SELECT CASE
               WHEN f.root_span_id IS NOT NULL THEN 'ended'
               WHEN w.state IS NOT NULL THEN ('{running,silent,abandoned}'::text[])[w.state]
               -- For a process that reports no liveness.
               WHEN w.last_time > now() - interval '1 day' THEN 'running'
               ELSE 'abandoned'
           END AS state
) s
CROSS JOIN LATERAL (
    SELECT s.state, CASE WHEN s.state IN ('ended', 'abandoned') THEN w.last_time END AS end_time
) e
WHERE f.flow_name IS NOT NULL
$view$);

COMMENT ON VIEW compat.execution_summary IS
    'One row per run: a flow of otel_setup, including flows that have not ended. Filter by start_time or '
    'execution_id.';
COMMENT ON COLUMN compat.execution_summary.execution_id IS 'The run: its trace id as uuid.';
COMMENT ON COLUMN compat.execution_summary.start_time IS 'Start time.';
COMMENT ON COLUMN compat.execution_summary.end_time IS
    'End time; for an abandoned run its last report; NULL while it is running.';
COMMENT ON COLUMN compat.execution_summary.duration_seconds IS 'From start_time to end_time.';
COMMENT ON COLUMN compat.execution_summary.demo_mode IS
    'From attribute demo_mode. A run that writes nothing in demo mode is not included.';
COMMENT ON COLUMN compat.execution_summary.total_atms IS 'Number of terminals to process, from attribute total_atms.';
COMMENT ON COLUMN compat.execution_summary.success IS
    'Whether it succeeded: from attribute success, else whether its span ended without an error. False if abandoned, '
    'NULL while it is running.';
COMMENT ON COLUMN compat.execution_summary.failover_activated IS
    'Whether it used the failover, from attribute failover_activated.';
COMMENT ON COLUMN compat.execution_summary.failure_type IS
    'From attribute failure_type, else the type of the exception that ended it; abandoned if its process is gone.';
COMMENT ON COLUMN compat.execution_summary.connection_status IS 'From attribute connection_status.';
COMMENT ON COLUMN compat.execution_summary.regional_records_processed IS 'From attribute regional_records_processed.';
COMMENT ON COLUMN compat.execution_summary.terminal_details_processed IS 'From attribute terminal_details_processed.';
COMMENT ON COLUMN compat.execution_summary.error_count IS 'Log records of the run with level ERROR or CRITICAL.';
COMMENT ON COLUMN compat.execution_summary.warning_count IS 'Log records of the run with level WARNING.';
COMMENT ON COLUMN compat.execution_summary.info_count IS 'Log records of the run with level INFO.';
COMMENT ON COLUMN compat.execution_summary.performance_summary IS
    '{"phases": {name: {count, duration_ms, max_ms, errors}}, …}: ended phases, and the contents of attribute '
    'performance_summary.';
COMMENT ON COLUMN compat.execution_summary.created_at IS 'When its first data was stored.';
COMMENT ON COLUMN compat.execution_summary.name IS 'Name of the flow.';
COMMENT ON COLUMN compat.execution_summary.state IS
    'ended, or as in otel.in_flight: running, silent, abandoned. If its process reports no liveness: abandoned after '
    'a day without data.';
COMMENT ON COLUMN compat.execution_summary.started_by IS
    'Who started it, from attribute started_by, user.id or enduser.id.';
COMMENT ON COLUMN compat.execution_summary.services IS 'The services that took part.';
