CREATE OR REPLACE VIEW compat.pipeline_progress_summary AS
SELECT e.experiment_id, s.*
FROM (
    SELECT DISTINCT CASE WHEN l.attributes ->> 'experiment_id' ~ '^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$'
            THEN (l.attributes ->> 'experiment_id')::uuid END AS experiment_id
    FROM _otel.logs l
    WHERE l.event_name = 'otelgres.progress' AND l.attributes ? 'experiment_id'
) e
CROSS JOIN LATERAL (
    SELECT max(p.experiment_name) AS experiment_name,
           CASE
               WHEN bool_or(p.status = 'failed') THEN 'failed'
               WHEN bool_and(p.status IN ('completed', 'skipped')) FILTER (WHERE p.is_root) THEN 'completed'
               WHEN bool_or(p.status = 'cancelled') FILTER (WHERE p.is_root) THEN 'cancelled'
               ELSE 'running'
           END AS status,
           avg(p.progress_percent) FILTER (WHERE p.is_root) AS progress_percent,
           count(*) AS nodes,
           count(*) FILTER (WHERE p.status IN ('completed', 'skipped')) AS completed_nodes,
           count(*) FILTER (WHERE p.status = 'running') AS running_nodes,
           count(*) FILTER (WHERE p.status = 'failed') AS failed_nodes,
           (array_agg(p.name ORDER BY p.started_at DESC, p.node_id)
               FILTER (WHERE p.status = 'running' AND p.level = 'phase'))[1] AS current_phase,
           min(p.started_at) AS started_at,
           max(p.updated_at) AS updated_at,
           max(p.updated_at) - min(p.started_at) AS elapsed
    FROM compat.aggregate_progress(e.experiment_id) p
    HAVING count(*) > 0
) s;

COMMENT ON VIEW compat.pipeline_progress_summary IS
    'Progress of each experiment. Filter by experiment_id: otherwise the progress of all experiments is aggregated.';
COMMENT ON COLUMN compat.pipeline_progress_summary.experiment_id IS 'The experiment.';
COMMENT ON COLUMN compat.pipeline_progress_summary.experiment_name IS 'Name of the experiment.';
COMMENT ON COLUMN compat.pipeline_progress_summary.status IS
    'failed if any node has failed, completed or cancelled if its pipelines are, else running.';
COMMENT ON COLUMN compat.pipeline_progress_summary.progress_percent IS 'Progress of its pipelines, 0 to 100.';
COMMENT ON COLUMN compat.pipeline_progress_summary.nodes IS 'Number of nodes that have reported.';
COMMENT ON COLUMN compat.pipeline_progress_summary.completed_nodes IS 'Number of nodes completed or skipped.';
COMMENT ON COLUMN compat.pipeline_progress_summary.running_nodes IS 'Number of nodes running.';
COMMENT ON COLUMN compat.pipeline_progress_summary.failed_nodes IS 'Number of nodes failed.';
COMMENT ON COLUMN compat.pipeline_progress_summary.current_phase IS 'The running phase that started last.';
COMMENT ON COLUMN compat.pipeline_progress_summary.started_at IS 'First report.';
COMMENT ON COLUMN compat.pipeline_progress_summary.updated_at IS 'Latest report.';
COMMENT ON COLUMN compat.pipeline_progress_summary.elapsed IS 'Time from started_at to updated_at.';
