-- Delivery: the digests of stored requests, and counts of what was refused, dropped or repaired.

-- One row per stored request, committed together with its rows. For an hour after midnight a request is stored under
-- both days, so that a retry after midnight is recognised.
CREATE TABLE _otel.digests (
    day date NOT NULL,
    digest uuid NOT NULL,
    PRIMARY KEY (digest, day)
) PARTITION BY RANGE (day);

CREATE TABLE _otel.losses (
    at timestamptz NOT NULL DEFAULT now(),
    count bigint NOT NULL,
    effect text NOT NULL CHECK (effect IN ('refused', 'dropped', 'repaired')),
    source text NOT NULL,               -- where it was recorded: rows, writer, grpc, http, spool, application …
    signal text NOT NULL,
    reason text NOT NULL,               -- a short constant text, suitable for GROUP BY
    detail text,
    sample text                         -- an example, truncated
) PARTITION BY RANGE (at);
CREATE INDEX losses_at ON _otel.losses USING brin (at) WITH (pages_per_range = 8);
