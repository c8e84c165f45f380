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
    'How far each node of each experiment has come, one row for each experiment_id and node_id. Filter by experiment_id: without, the progress of all experiments that are kept is added up.';
COMMENT ON COLUMN compat.pipeline_progress.id IS 'A number for the node, always the same.';
COMMENT ON COLUMN compat.pipeline_progress.experiment_id IS 'The experiment.';
COMMENT ON COLUMN compat.pipeline_progress.experiment_name IS 'Its name.';
COMMENT ON COLUMN compat.pipeline_progress.node_id IS 'The node, once in its experiment.';
COMMENT ON COLUMN compat.pipeline_progress.parent_id IS 'The node that it is a part of; NULL for the pipeline.';
COMMENT ON COLUMN compat.pipeline_progress.level IS 'pipeline, phase, step or substep.';
COMMENT ON COLUMN compat.pipeline_progress.name IS 'What it is called.';
COMMENT ON COLUMN compat.pipeline_progress.status IS 'pending, running, completed, failed, skipped, cancelled, or what it says itself.';
COMMENT ON COLUMN compat.pipeline_progress.progress_percent IS 'How far it is, 0 to 100: its own word for a leaf, added up from its children for a parent.';
COMMENT ON COLUMN compat.pipeline_progress.own_percent IS 'What it said itself.';
COMMENT ON COLUMN compat.pipeline_progress.completed_units IS 'Units done.';
COMMENT ON COLUMN compat.pipeline_progress.total_units IS 'Units there are to do.';
COMMENT ON COLUMN compat.pipeline_progress.unit IS 'What is counted.';
COMMENT ON COLUMN compat.pipeline_progress.message IS 'What it said last.';
COMMENT ON COLUMN compat.pipeline_progress.children IS 'How many nodes are parts of it.';
COMMENT ON COLUMN compat.pipeline_progress.started_at IS 'When it was first told of.';
COMMENT ON COLUMN compat.pipeline_progress.updated_at IS 'When it, or a node below it, was last told of.';
COMMENT ON COLUMN compat.pipeline_progress.completed_at IS 'When it ended; NULL if it has not.';
COMMENT ON COLUMN compat.pipeline_progress.attributes IS 'Attributes of what it said last.';
