-- What delivery needs to keep its promises: which requests are already in, and what was refused, dropped or repaired.

-- One row an ingested request, committed with its rows. For an hour after midnight a request is entered under both days,
-- so that a retry on the other side of midnight still meets its digest.
CREATE TABLE _otel.digests (
    day date NOT NULL,
    digest uuid NOT NULL,
    PRIMARY KEY (digest, day)
) PARTITION BY RANGE (day);

CREATE TABLE _otel.losses (
    at timestamptz NOT NULL DEFAULT now(),
    count bigint NOT NULL,
    effect text NOT NULL CHECK (effect IN ('refused', 'dropped', 'repaired')),
    source text NOT NULL,               -- where it happened: rows, writer, grpc, http, spool, application …
    signal text NOT NULL,
    reason text NOT NULL,               -- a short fixed word, fit for GROUP BY
    detail text,
    sample text                         -- one of them, shortened
) PARTITION BY RANGE (at);
CREATE INDEX losses_at ON _otel.losses USING brin (at) WITH (pages_per_range = 8);
