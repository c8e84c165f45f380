CREATE OR REPLACE FUNCTION compat.aggregate_progress(p_experiment_id uuid)
RETURNS TABLE (
    node_id text, experiment_name text, parent_id text, level text, name text, status text,
    progress_percent double precision, own_percent double precision, completed_units double precision,
    total_units double precision, unit text, message text, children integer, is_root boolean, started_at timestamptz,
    updated_at timestamptz, completed_at timestamptz, attributes jsonb)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER ROWS 50 SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE node AS MATERIALIZED (
        SELECT n.* FROM _otel.progress_nodes(p_experiment_id) n
    ),
    family AS MATERIALIZED (
        SELECT c.parent_id AS node_id, count(*)::integer AS children,
               greatest(max(p.parts) - count(*), 0) AS missing,
               sum(c.weight) + greatest(max(p.parts) - count(*), 0) AS weight
        FROM node c JOIN node p ON p.node_id = c.parent_id
        GROUP BY c.parent_id
    ),
    -- Each node with all nodes below it, and the fraction of the node that each of those is. Nodes below a completed
    -- node are not counted.
    share AS (
        SELECT n.node_id AS top, n.node_id, 1::double precision AS factor, ARRAY[n.node_id] AS path
        FROM node n
        UNION ALL
        SELECT s.top, c.node_id, s.factor * c.weight / f.weight, s.path || c.node_id
        FROM share s
        JOIN node n ON n.node_id = s.node_id AND n.status IS DISTINCT FROM 'completed' AND n.status IS DISTINCT FROM 'skipped'
        JOIN family f ON f.node_id = s.node_id
        JOIN node c ON c.parent_id = s.node_id
        WHERE c.node_id <> ALL (s.path) AND cardinality(s.path) < 32
    ),
    aggregated AS (
        SELECT s.top,
               sum(s.factor * CASE WHEN f.node_id IS NULL THEN n.own_percent
                                   WHEN n.status IN ('completed', 'skipped') THEN 100 ELSE 0 END) AS percent,
               -- For a parent without reports of its own.
               bool_or(n.status = 'failed') AS failed,
               bool_and(CASE WHEN n.status IN ('completed', 'skipped') THEN true WHEN f.node_id IS NULL THEN false
                             ELSE f.missing = 0 END) AS completed,
               bool_or(CASE WHEN n.status IS NULL THEN n.own_percent > 0 ELSE n.status <> 'pending' END) AS begun,
               max(n.updated_at) AS updated_at
        FROM share s
        JOIN node n ON n.node_id = s.node_id
        LEFT JOIN family f ON f.node_id = s.node_id
        GROUP BY s.top
    )
    SELECT n.node_id, n.experiment_name, n.parent_id, n.level, n.name,
           coalesce(n.status, CASE WHEN a.failed THEN 'failed' WHEN a.completed THEN 'completed'
                                   WHEN a.begun THEN 'running' ELSE 'pending' END),
           round(a.percent::numeric, 6)::double precision, n.own_percent, n.completed_units, n.total_units, n.unit, n.message,
           coalesce(f.children, 0), NOT EXISTS (SELECT FROM node o WHERE o.node_id = n.parent_id),
           n.started_at, greatest(n.updated_at, a.updated_at), n.completed_at, n.attributes
    FROM node n
    JOIN aggregated a ON a.top = n.node_id
    LEFT JOIN family f ON f.node_id = n.node_id
$$;

COMMENT ON FUNCTION compat.aggregate_progress(uuid) IS
    'The nodes of an experiment with aggregated progress: for a leaf its own (percent, else completed of total units, '
    'else 100 if completed), for a parent the weighted mean of its children, where expected but missing parts count '
    'as 0; a completed or skipped node is 100. For each field the latest report by time in nanoseconds counts, '
    'whatever the order of arrival.';
