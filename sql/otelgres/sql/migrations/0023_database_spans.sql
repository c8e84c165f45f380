-- Spans of instrumented database drivers, for compat.database_operations.
CREATE INDEX spans_database ON _otel.spans (start_time)
    WHERE kind = 3 AND (attributes ? 'db.system' OR attributes ? 'db.system.name');
