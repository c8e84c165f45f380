-- Runs are often queried for their problems. Few log records are warnings or worse: they have an index of their own,
-- with the same expression as column level of compat.log_events.
CREATE INDEX logs_problems ON _otel.logs (time) WHERE CASE
           WHEN severity_number BETWEEN 1 AND 4 THEN 'TRACE'
           WHEN severity_number BETWEEN 5 AND 8 THEN 'DEBUG'
           WHEN severity_number BETWEEN 9 AND 12 THEN 'INFO'
           WHEN severity_number BETWEEN 13 AND 16 THEN 'WARNING'
           WHEN severity_number BETWEEN 17 AND 20 THEN 'ERROR'
           WHEN severity_number BETWEEN 21 AND 24 THEN 'CRITICAL'
           ELSE 'NOTSET'
       END IN ('WARNING', 'ERROR', 'CRITICAL');

-- Events of runs, also found by time: a run whose root span never ended has nothing else.
CREATE INDEX logs_run_events ON _otel.logs (time) WHERE event_name = 'otelgres.run';
