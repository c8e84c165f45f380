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
    'Work of experiments that began in the last seven days and has not ended, the oldest first: since when, how far, and whether its process lives.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.experiment_id IS 'The experiment.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.experiment_name IS 'Its name.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.node_id IS 'The node that it was begun in; its own for a phase, step or substep.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.stage IS 'The stage it was in.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.level IS 'pipeline, phase, step or substep; of other work flow or phase.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.name IS 'What it is called.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.status IS 'What its node said last.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.progress_percent IS 'How far its node is, 0 to 100; NULL without a word of progress.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.completed_units IS 'Units done.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.total_units IS 'Units there are to do.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.message IS 'What its node said last.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.started_at IS 'When it began.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.running IS 'How long ago that was.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.last_progress IS 'When its node, or one below it, was last told of.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.last_seen IS 'The latest report of its process.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.state IS 'running, silent or abandoned, as in otel.in_flight.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.abandoned IS 'Whether its process is gone.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.reason IS 'Why it is not running; NULL otherwise.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.service_name IS 'The service that began it.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.host_name IS 'Where its process runs.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.pid IS 'Its process id.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.flow_id IS 'The flow in which it began.';
COMMENT ON COLUMN compat.active_pipeline_monitoring.span_id IS 'The span that is open.';
