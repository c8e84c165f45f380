-- Open flows and phases are queried every few seconds, and nearly all of a day's starts have ended: those found ended
-- once are not checked again.
CREATE TABLE _otel.open_starts (
    time timestamptz NOT NULL,          -- these three identify the start record, and the span after it has ended
    trace_id uuid NOT NULL,
    span_id bytea NOT NULL,
    PRIMARY KEY (trace_id, span_id, time)
);
CREATE INDEX open_starts_time ON _otel.open_starts (time);

-- One row: of the starts stored until then, exactly those in open_starts are open.
CREATE TABLE _otel.open_starts_checked (
    until timestamptz NOT NULL,
    one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO _otel.open_starts_checked (until) VALUES ('-infinity');

CREATE INDEX logs_span_starts_received ON _otel.logs (received_at) WHERE event_name = 'otelgres.span.start';
