CREATE OR REPLACE VIEW otel.receivers AS
SELECT r.id AS receiver_id,
       r.host,
       r.pid,
       r.version,
       r.started_at,
       r.last_seen,
       r.last_seen > now() - interval '30 seconds' AS alive,
       n.name,
       n.labels,
       n.value
FROM _otel.receivers r,
     LATERAL (SELECT e ->> 0 AS name, e -> 1 AS labels, (e ->> 2)::double precision AS value
              FROM jsonb_array_elements(r.numbers) e) n;

COMMENT ON VIEW otel.receivers IS
    'Metrics of each receiver of this database: one row per metric, updated every ten seconds.';
COMMENT ON COLUMN otel.receivers.receiver_id IS 'Id of the receiver process, new at each start.';
COMMENT ON COLUMN otel.receivers.host IS 'The host.';
COMMENT ON COLUMN otel.receivers.pid IS 'The process id.';
COMMENT ON COLUMN otel.receivers.version IS 'Version of otelgres.';
COMMENT ON COLUMN otel.receivers.started_at IS 'When it started.';
COMMENT ON COLUMN otel.receivers.last_seen IS 'When it last published its metrics.';
COMMENT ON COLUMN otel.receivers.alive IS 'Whether it has published within the last 30 seconds.';
COMMENT ON COLUMN otel.receivers.name IS 'Name of the metric, as on /metrics; see docs/operations.md.';
COMMENT ON COLUMN otel.receivers.labels IS 'Labels of the metric, an object.';
COMMENT ON COLUMN otel.receivers.value IS 'Value of the metric.';
