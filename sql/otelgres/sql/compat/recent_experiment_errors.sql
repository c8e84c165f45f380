CREATE OR REPLACE VIEW compat.recent_experiment_errors AS
SELECT e.*
FROM (
    SELECT l."timestamp", l.experiment_id, l.experiment_name, l.node_id, l.stage, l.level, l.logger, l.message,
           l.error_type, l.error_message, l.traceback, l.context, l.service_name, l.flow_id
    FROM compat.pipeline_logs l
    WHERE l.level IN ('ERROR', 'CRITICAL') AND l."timestamp" > now() - interval '7 days'
    UNION ALL
    SELECT v."timestamp", v.experiment_id, v.experiment_name, v.node_id, v.stage, v.severity, v.event_type, v.message,
           v.details ->> 'error_type', v.details ->> 'error_message', v.details ->> 'traceback', v.details, v.service_name,
           v.flow_id
    FROM compat.pipeline_events v
    WHERE v.severity IN ('ERROR', 'CRITICAL') AND v."timestamp" > now() - interval '7 days'
) e
ORDER BY e."timestamp" DESC;

COMMENT ON VIEW compat.recent_experiment_errors IS
    'Log records and events of experiments with level ERROR or CRITICAL of the last seven days, newest first.';
COMMENT ON COLUMN compat.recent_experiment_errors."timestamp" IS 'When it happened.';
COMMENT ON COLUMN compat.recent_experiment_errors.experiment_id IS
    'The experiment: attribute experiment_id; NULL if it is not a uuid.';
COMMENT ON COLUMN compat.recent_experiment_errors.experiment_name IS 'Name of the experiment.';
COMMENT ON COLUMN compat.recent_experiment_errors.node_id IS 'The node of the pipeline.';
COMMENT ON COLUMN compat.recent_experiment_errors.stage IS 'The stage.';
COMMENT ON COLUMN compat.recent_experiment_errors.level IS 'ERROR or CRITICAL.';
COMMENT ON COLUMN compat.recent_experiment_errors.logger IS 'Name of the logger; for an event its type.';
COMMENT ON COLUMN compat.recent_experiment_errors.message IS 'The message.';
COMMENT ON COLUMN compat.recent_experiment_errors.error_type IS 'Class of the exception; NULL without one.';
COMMENT ON COLUMN compat.recent_experiment_errors.error_message IS 'Message of the exception.';
COMMENT ON COLUMN compat.recent_experiment_errors.traceback IS 'The complete traceback.';
COMMENT ON COLUMN compat.recent_experiment_errors.context IS 'Its fields; for an event its details.';
COMMENT ON COLUMN compat.recent_experiment_errors.service_name IS 'The service that recorded it.';
COMMENT ON COLUMN compat.recent_experiment_errors.flow_id IS 'The flow in which it happened; NULL if none.';
