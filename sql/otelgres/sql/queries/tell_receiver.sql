WITH forgotten AS (
    DELETE FROM _otel.receivers WHERE seen_at < now() - interval '7 days'
)
INSERT INTO _otel.receivers (id, host, pid, version, started_at, seen_at, numbers)
VALUES (%(id)s, %(host)s, %(pid)s, %(version)s, %(started_at)s, now(), %(numbers)s::jsonb)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, numbers = excluded.numbers
