-- Which flows and phases are open is asked every few seconds, and of a day's starts nearly all have ended: those that were
-- looked at once and had, are not looked at again.
CREATE TABLE _otel.open_starts (
    time timestamptz NOT NULL,          -- these three find the start record, and the span once it has ended
    trace_id uuid NOT NULL,
    span_id bytea NOT NULL,
    PRIMARY KEY (trace_id, span_id, time)
);
CREATE INDEX open_starts_time ON _otel.open_starts (time);

-- One row: of the starts stored until then, those in open_starts are open, and no others.
CREATE TABLE _otel.open_starts_checked (
    until timestamptz NOT NULL,
    one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO _otel.open_starts_checked (until) VALUES ('-infinity');

CREATE INDEX logs_span_starts_received ON _otel.logs (received_at) WHERE event_name = 'otelgres.span.start';
