-- The latest report of a process, asked once for each piece of work that is open.
CREATE INDEX logs_process_liveness ON _otel.logs (resource_id, time)
    WHERE event_name IN ('otelgres.process.alive', 'otelgres.process.end');
