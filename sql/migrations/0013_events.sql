-- Events are found by their name: only records that have one pay for it.
CREATE INDEX logs_event_name ON _otel.logs (event_name, time) WHERE event_name IS NOT NULL;
