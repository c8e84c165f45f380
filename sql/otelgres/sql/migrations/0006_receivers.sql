-- The receivers of this database: each publishes its metrics here every few seconds.

CREATE TABLE _otel.receivers (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    numbers jsonb NOT NULL              -- [[name, {label: text}, value], …]
);
