WITH forgotten AS (
    DELETE FROM _otel.receivers WHERE last_seen < now() - interval '7 days'
)
INSERT INTO _otel.receivers (id, host, pid, version, started_at, last_seen, numbers)
VALUES (%(id)s, %(host)s, %(pid)s, %(version)s, %(started_at)s, now(), %(numbers)s::jsonb)
ON CONFLICT (id) DO UPDATE SET last_seen = excluded.last_seen, numbers = excluded.numbers
