-- Finds the events of otelgres by name. Only these: other names may be too long for an index.
CREATE INDEX logs_own_events ON _otel.logs (event_name, time) WHERE event_name IN (
    'otelgres.operation', 'otelgres.integration', 'otelgres.heartbeat', 'otelgres.subscription', 'otelgres.progress',
    'otelgres.pipeline', 'otelgres.process.alive', 'otelgres.process.end');
