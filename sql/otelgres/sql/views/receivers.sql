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

COMMENT ON VIEW otel.receivers IS 'How each receiver of this database is doing: one row a number, published every ten seconds.';
COMMENT ON COLUMN otel.receivers.receiver_id IS 'A new one at each start of a receiver.';
COMMENT ON COLUMN otel.receivers.host IS 'Where it runs.';
COMMENT ON COLUMN otel.receivers.pid IS 'Its process id there.';
COMMENT ON COLUMN otel.receivers.version IS 'Its version of otelgres.';
COMMENT ON COLUMN otel.receivers.started_at IS 'When it started.';
COMMENT ON COLUMN otel.receivers.last_seen IS 'When it published these numbers.';
COMMENT ON COLUMN otel.receivers.alive IS 'Whether it published them within the last 30 seconds.';
COMMENT ON COLUMN otel.receivers.name IS 'Name of the number, as on /metrics; docs/operations.md explains each.';
COMMENT ON COLUMN otel.receivers.labels IS 'Its labels as an object.';
COMMENT ON COLUMN otel.receivers.value IS 'Its value.';
