-- The latest sign of life of a process, asked once for each piece of work that is open.
CREATE INDEX logs_process_signs ON _otel.logs (resource_id, time)
    WHERE event_name IN ('otelgres.process.alive', 'otelgres.process.end');
