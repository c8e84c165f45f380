-- Each start is looked up in the partition of the span's day; an anti-join would read every span of the period. Of
-- starts that were checked before, only those found open are checked again: see _otel.refresh_open_starts.
CREATE OR REPLACE VIEW otel.in_flight AS
SELECT w.trace_id AS flow_id,
       encode(uuid_send(w.trace_id), 'hex') AS trace_id,
       encode(w.span_id, 'hex') AS span_id,
       w.attributes ->> 'otelgres.parent.span_id' AS parent_span_id,
       w.attributes ->> 'otelgres.span.name' AS name,
       w.attributes ->> 'otelgres.type' AS type,
       w.attributes ->> 'otelgres.flow.name' AS flow_name,
       r.service_name,
       r.attributes ->> 'service.instance.id' AS instance_id,
       _otel.number_of(coalesce(w.attributes ->> 'process.pid', r.attributes ->> 'process.pid')) AS pid,
       r.attributes ->> 'host.name' AS host_name,
       w.start_time,
       w.start_time_unix_nano,
       now() - w.start_time AS running,
       t.state,
       CASE
           WHEN p.ended THEN format('its process ended at %s', to_char(p.time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
           WHEN s.every IS NULL THEN 'its process reports no liveness'
           WHEN t.state <> 'running' THEN format('no report for %s; expected every %s',
                                                 make_interval(secs => floor(extract(epoch FROM now() - s.last_seen))), s.every)
       END AS reason,
       s.last_seen,
       s.every AS report_interval,
       (SELECT _otel.time_of(f.end_time_unix_nano) FROM _otel.merged_flows f WHERE f.trace_id = w.trace_id) AS last_activity,
       w.attributes,
       r.attributes AS resource_attributes
FROM (
    SELECT l.time AS start_time, l.time_unix_nano AS start_time_unix_nano, l.trace_id, l.span_id, l.attributes,
           l.resource_id,
           NOT EXISTS (
               SELECT FROM _otel.spans e
               WHERE e.trace_id = l.trace_id AND e.span_id = l.span_id AND e.tenant_id = coalesce(l.tenant_id, 0)
                   AND e.start_time = l.time
           ) AS open
    FROM (
        SELECT n.time, n.time_unix_nano, n.trace_id, n.span_id, n.attributes, n.resource_id, n.tenant_id
        FROM _otel.logs n
        WHERE n.event_name = 'otelgres.span.start' AND n.received_at > (SELECT k.until FROM _otel.open_starts_checked k)
        UNION ALL
        SELECT o.time, n.time_unix_nano, o.trace_id, o.span_id, n.attributes, n.resource_id, n.tenant_id
        FROM _otel.open_starts o
        CROSS JOIN LATERAL (
            -- LIMIT forces a lookup of each: without statistics the planner may read all starts for a few open ones.
            SELECT s.time_unix_nano, s.attributes, s.resource_id, s.tenant_id, s.received_at
            FROM _otel.logs s
            WHERE s.trace_id = o.trace_id AND s.time = o.time AND s.span_id = o.span_id
                AND s.event_name = 'otelgres.span.start' AND coalesce(s.tenant_id, 0) = o.tenant_id
            LIMIT 1
        ) n
        WHERE n.received_at <= (SELECT k.until FROM _otel.open_starts_checked k)
    ) l
) w
LEFT JOIN _otel.resources r ON r.id = w.resource_id
LEFT JOIN LATERAL (
    SELECT g.time, g.event_name = 'otelgres.process.end' AS ended, g.attributes ->> 'otelgres.report.interval' AS seconds
    FROM _otel.logs g
    WHERE g.resource_id = w.resource_id AND g.event_name IN ('otelgres.process.alive', 'otelgres.process.end')
        AND g.time >= w.start_time
    ORDER BY g.time DESC
    LIMIT 1
) p ON true
CROSS JOIN LATERAL (
    SELECT greatest(w.start_time, p.time) AS last_seen,
           -- NULL if it reports no interval: greatest() ignores NULL.
           make_interval(secs => nullif(least(greatest(_otel.number_of(
               coalesce(p.seconds, w.attributes ->> 'otelgres.report.interval')), 0), 1e7), 0)) AS every
) s
CROSS JOIN LATERAL (
    SELECT CASE
               WHEN p.ended OR now() - s.last_seen > 4 * s.every THEN 'abandoned'
               WHEN now() - s.last_seen > 2 * s.every THEN 'silent'
               ELSE 'running'
           END AS state
) t
WHERE w.open;

COMMENT ON VIEW otel.in_flight IS
    'Flows and phases that have started and not ended: running, silent or abandoned. Filter by start_time (prunes '
    'days) or flow_id.';
COMMENT ON COLUMN otel.in_flight.flow_id IS 'The trace id as uuid.';
COMMENT ON COLUMN otel.in_flight.trace_id IS 'The trace id as 32 hex digits.';
COMMENT ON COLUMN otel.in_flight.span_id IS 'Span id of the open span, 16 hex digits.';
COMMENT ON COLUMN otel.in_flight.parent_span_id IS 'Span id of the parent, 16 hex digits; NULL for a root.';
COMMENT ON COLUMN otel.in_flight.name IS 'Name of the span.';
COMMENT ON COLUMN otel.in_flight.type IS 'flow or phase.';
COMMENT ON COLUMN otel.in_flight.flow_name IS 'Name of the flow set by the application.';
COMMENT ON COLUMN otel.in_flight.service_name IS 'The service that started it.';
COMMENT ON COLUMN otel.in_flight.instance_id IS
    'service.instance.id of the process that started it, unique to that process.';
COMMENT ON COLUMN otel.in_flight.pid IS 'Process id of that process.';
COMMENT ON COLUMN otel.in_flight.host_name IS 'Host of that process.';
COMMENT ON COLUMN otel.in_flight.start_time IS 'Start time.';
COMMENT ON COLUMN otel.in_flight.start_time_unix_nano IS 'start_time in nanoseconds since 1970.';
COMMENT ON COLUMN otel.in_flight.running IS 'Time since start_time.';
COMMENT ON COLUMN otel.in_flight.state IS
    'running: its process reports liveness; silent: no report for two intervals; abandoned: its process reported its '
    'shutdown, or has not reported for four intervals.';
COMMENT ON COLUMN otel.in_flight.reason IS 'Why it is not running, or that its process reports no liveness; else NULL.';
COMMENT ON COLUMN otel.in_flight.last_seen IS
    'Time of the last report of its process (start_time if none since), by the clock of the process.';
COMMENT ON COLUMN otel.in_flight.report_interval IS
    'Interval between the liveness reports of its process; NULL if it reports none.';
COMMENT ON COLUMN otel.in_flight.last_activity IS
    'Latest end of any span or checkpoint of the flow, in any process; NULL if none has arrived.';
COMMENT ON COLUMN otel.in_flight.attributes IS 'Attributes of the start record.';
COMMENT ON COLUMN otel.in_flight.resource_attributes IS 'Resource attributes.';
