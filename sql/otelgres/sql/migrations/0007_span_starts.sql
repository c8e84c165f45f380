-- What otel_setup says when a flow or phase begins, found without reading other records.
CREATE INDEX logs_span_starts ON _otel.logs (time) WHERE event_name = 'otelgres.span.start';
