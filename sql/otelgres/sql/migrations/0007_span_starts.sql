-- Start records of flows and phases, found without reading other records.
CREATE INDEX logs_span_starts ON _otel.logs (time) WHERE event_name = 'otelgres.span.start';
