-- Who receives into this database and how it is doing: each receiver tells its numbers here every few seconds.

CREATE TABLE _otel.receivers (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    numbers jsonb NOT NULL              -- [[name, {label: text}, value], …] as in collector/otelgres/otelgres.collector.telemetry.metrics
);
