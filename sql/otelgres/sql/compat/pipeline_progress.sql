SELECT _otel.define_view('pipeline_progress', '{}', $view$
SELECT hashtextextended(e.experiment_id::text || p.node_id, 0) AS id,
       e.experiment_id,
       p.experiment_name,
       p.node_id,
       p.parent_id,
       p.level,
       p.name,
       p.status,
       p.progress_percent,
       p.own_percent,
       p.completed_units,
       p.total_units,
       p.unit,
       p.message,
       p.children,
       p.started_at,
       p.updated_at,
       p.completed_at,
       p.attributes{{...}}
FROM (
    SELECT DISTINCT CASE WHEN l.attributes ->> 'experiment_id' ~ '^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$'
            THEN (l.attributes ->> 'experiment_id')::uuid END AS experiment_id
    FROM _otel.logs l
    WHERE l.event_name = 'otelgres.progress' AND l.attributes ? 'experiment_id'
) e
CROSS JOIN LATERAL compat.aggregate_progress(e.experiment_id) p
$view$);

COMMENT ON VIEW compat.pipeline_progress IS
    'Progress of each node of each experiment, one row per experiment_id and node_id. Filter by experiment_id: '
    'otherwise the progress of all experiments is aggregated.';
COMMENT ON COLUMN compat.pipeline_progress.id IS 'Stable id of the node.';
COMMENT ON COLUMN compat.pipeline_progress.experiment_id IS 'The experiment.';
COMMENT ON COLUMN compat.pipeline_progress.experiment_name IS 'Name of the experiment.';
COMMENT ON COLUMN compat.pipeline_progress.node_id IS 'The node, unique in its experiment.';
COMMENT ON COLUMN compat.pipeline_progress.parent_id IS 'The parent node; NULL for the pipeline.';
COMMENT ON COLUMN compat.pipeline_progress.level IS 'pipeline, phase, step or substep.';
COMMENT ON COLUMN compat.pipeline_progress.name IS 'The name.';
COMMENT ON COLUMN compat.pipeline_progress.status IS
    'pending, running, completed, failed, skipped, cancelled, or as reported.';
COMMENT ON COLUMN compat.pipeline_progress.progress_percent IS
    'Progress, 0 to 100: as reported for a leaf, aggregated from the children for a parent.';
COMMENT ON COLUMN compat.pipeline_progress.own_percent IS 'Progress reported by the node itself.';
COMMENT ON COLUMN compat.pipeline_progress.completed_units IS 'Number of completed units.';
COMMENT ON COLUMN compat.pipeline_progress.total_units IS 'Total number of units.';
COMMENT ON COLUMN compat.pipeline_progress.unit IS 'The unit.';
COMMENT ON COLUMN compat.pipeline_progress.message IS 'Latest message.';
COMMENT ON COLUMN compat.pipeline_progress.children IS 'Number of child nodes.';
COMMENT ON COLUMN compat.pipeline_progress.started_at IS 'First report.';
COMMENT ON COLUMN compat.pipeline_progress.updated_at IS 'Latest report of the node or a node below it.';
COMMENT ON COLUMN compat.pipeline_progress.completed_at IS 'When it ended; NULL if it has not ended.';
COMMENT ON COLUMN compat.pipeline_progress.attributes IS 'Attributes of its latest report.';
