CREATE OR REPLACE VIEW compat.active_pipeline_monitoring AS
SELECT i.experiment_id,
       coalesce(i.attributes ->> 'experiment_name', p.experiment_name) AS experiment_name,
       i.attributes ->> 'node_id' AS node_id,
       i.attributes ->> 'stage' AS stage,
       coalesce(p.level, i.type) AS level,
       coalesce(p.name, i.name) AS name,
       coalesce(p.status, 'running') AS status,
       p.progress_percent,
       p.completed_units,
       p.total_units,
       p.message,
       i.start_time AS started_at,
       i.running,
       p.updated_at AS last_progress,
       i.last_seen,
       i.state,
       i.state = 'abandoned' AS abandoned,
       i.reason,
       i.service_name,
       i.host_name,
       i.pid,
       i.flow_id,
       i.span_id
FROM (
    SELECT f.*, CASE WHEN f.attributes ->> 'experiment_id' ~ '^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$'
            THEN (f.attributes ->> 'experiment_id')::uuid END AS experiment_id
    FROM otel.in_flight f
    WHERE f.start_time > now() - interval '7 days' AND f.attributes ? 'experiment_id'
) i
LEFT JOIN LATERAL (
    SELECT a.* FROM compat.aggregate_progress(i.experiment_id) a WHERE a.node_id = i.attributes ->> 'node_id'
) p ON true
ORDER BY i.start_time;

COMMENT ON VIEW compat.active_pipeline_monitoring IS
    'Work of experiments that started in the last seven days and has not ended, oldest first, with its progress and '
    'the liveness of its process.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.experiment_id IS 'The experiment.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.experiment_name IS 'Name of the experiment.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.node_id IS
    'The node in which it started; its own for a phase, step or substep.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.stage IS 'The stage.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.level IS
    'pipeline, phase, step or substep; for other work flow or phase.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.name IS 'The name.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.status IS 'Latest status of the node.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.progress_percent IS
    'Progress of the node, 0 to 100; NULL if none is reported.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.completed_units IS 'Number of completed units.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.total_units IS 'Total number of units.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.message IS 'Latest message of the node.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.started_at IS 'Start time.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.running IS 'Time since started_at.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.last_progress IS 'Latest report of the node or a node below it.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.last_seen IS 'Latest report of its process.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.state IS 'running, silent or abandoned, as in otel.in_flight.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.abandoned IS 'Whether its process has ended or no longer reports.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.reason IS 'Why it is not running; NULL otherwise.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.service_name IS 'The service that started it.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.host_name IS 'Host of its process.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.pid IS 'Its process id.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.flow_id IS 'The flow in which it started.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.span_id IS 'The open span.';
