-- Experiments and their progress.
SELECT * FROM compat.pipeline_progress_summary ORDER BY started_at DESC LIMIT 10;

-- The parts of the latest experiment, as a tree.
SELECT t.tree, t.status, t.progress_percent, t.message
FROM (SELECT experiment_id FROM compat.pipeline_progress_summary ORDER BY started_at DESC LIMIT 1) e
CROSS JOIN LATERAL compat.get_progress_tree(e.experiment_id) t;

-- Recent errors, newest first.
SELECT "timestamp", experiment_name, node_id, level, message FROM compat.recent_experiment_errors LIMIT 10;

-- Log records of the latest experiment: level (+: or worse), text, limit.
SELECT l."timestamp", l.level, l.node_id, l.message, l.context
FROM (SELECT experiment_id FROM compat.pipeline_progress_summary ORDER BY started_at DESC LIMIT 1) e
CROSS JOIN LATERAL compat.get_experiment_logs(e.experiment_id, p_level := 'WARNING+', p_limit := 50) l;

-- Its errors by type.
SELECT s.*
FROM (SELECT experiment_id FROM compat.pipeline_progress_summary ORDER BY started_at DESC LIMIT 1) e
CROSS JOIN LATERAL compat.get_error_summary(e.experiment_id) s;

-- Open work, its age, and the state of its process.
SELECT experiment_name, node_id, state, running, progress_percent, last_progress, last_seen, reason
FROM compat.active_pipeline_monitoring;

-- CPU, memory, disk and throughput of the last hour.
SELECT metric_type, metric_name, unit, min(metric_value), avg(metric_value), max(metric_value), count(*)
FROM compat.pipeline_metrics WHERE "timestamp" > now() - interval '1 hour'
GROUP BY 1, 2, 3 ORDER BY 1, 2;

-- Sizes of the tables.
SELECT * FROM compat.pipeline_table_sizes;
