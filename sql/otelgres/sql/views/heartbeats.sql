-- The latest heartbeat of each sender (the same name is another sender in another tenant), limited to two days, which reads only a small part of the index.
CREATE OR REPLACE VIEW otel.heartbeats AS
SELECT h.source_system,
       h.service_name,
       h.last_time,
       now() - h.last_time AS age,
       make_interval(secs => h.seconds) AS "interval",
       now() - h.last_time > make_interval(secs => 2 * h.seconds) AS missed,
       h.stats
FROM (
    SELECT DISTINCT ON (s.source_system, s.tenant_id) s.*
    FROM (
        SELECT coalesce(l.attributes ->> 'source_system', r.service_name) AS source_system, r.service_name,
               l.tenant_id, l.time AS last_time,
               -- Limited to the range of an interval, so that an invalid value of one sender does not fail the view.
               least(greatest(coalesce(_otel.number_of(l.attributes ->> 'otelgres.heartbeat.interval'), 60), 0), 1e7) AS seconds,
               coalesce(l.body_value, '{}') AS stats
        FROM _otel.logs l LEFT JOIN _otel.resources r ON r.id = l.resource_id
        WHERE l.event_name = 'otelgres.heartbeat' AND l.time > now() - interval '2 days'
    ) s
    ORDER BY s.source_system, s.tenant_id, s.last_time DESC
) h;

COMMENT ON VIEW otel.heartbeats IS
    'Latest heartbeat of each system within the last two days, and whether the next one is late.';
COMMENT ON COLUMN otel.heartbeats.source_system IS 'The sending system: attribute source_system, else the service.';
COMMENT ON COLUMN otel.heartbeats.service_name IS 'The service that sent it.';
COMMENT ON COLUMN otel.heartbeats.last_time IS 'When the latest heartbeat was sent.';
COMMENT ON COLUMN otel.heartbeats.age IS 'Time since then.';
COMMENT ON COLUMN otel.heartbeats."interval" IS
    'Interval between heartbeats (attribute otelgres.heartbeat.interval, seconds); one minute by default.';
COMMENT ON COLUMN otel.heartbeats.missed IS 'Whether no heartbeat has arrived for two intervals.';
COMMENT ON COLUMN otel.heartbeats.stats IS 'Contents of the latest heartbeat: channels, counts, errors, uptime.';
