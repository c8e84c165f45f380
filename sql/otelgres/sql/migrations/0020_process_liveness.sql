-- Finds the latest report of a process, for each open flow and phase.
CREATE INDEX logs_process_liveness ON _otel.logs (resource_id, time)
    WHERE event_name IN ('otelgres.process.alive', 'otelgres.process.end');
