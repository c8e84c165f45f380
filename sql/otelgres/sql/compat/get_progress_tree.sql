CREATE OR REPLACE FUNCTION compat.get_progress_tree(p_experiment_id uuid)
RETURNS TABLE (
    node_id text, parent_id text, depth integer, tree text, level text, name text, status text,
    progress_percent double precision, completed_units double precision, total_units double precision, unit text,
    message text, started_at timestamptz, updated_at timestamptz, completed_at timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 50 SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE node AS MATERIALIZED (
        SELECT a.*, row_number() OVER (ORDER BY a.started_at, a.node_id) AS n FROM compat.aggregate_progress(p_experiment_id) a
    ),
    tree AS (
        SELECT o.node_id, 0 AS depth, ARRAY[o.n] AS place, ARRAY[o.node_id] AS path
        FROM node o WHERE o.is_root
        UNION ALL
        SELECT c.node_id, t.depth + 1, t.place || c.n, t.path || c.node_id
        FROM tree t JOIN node c ON c.parent_id = t.node_id AND NOT c.is_root
        WHERE c.node_id <> ALL (t.path) AND t.depth < 32
    ),
    -- Nodes in a cycle of parents come last.
    placed AS (
        SELECT t.node_id, t.depth, t.place FROM tree t
        UNION ALL
        SELECT o.node_id, 0, ARRAY[9223372036854775807, o.n] FROM node o WHERE NOT EXISTS (SELECT FROM tree t WHERE t.node_id = o.node_id)
    )
    SELECT o.node_id, o.parent_id, t.depth, repeat('  ', t.depth) || o.name, o.level, o.name, o.status, o.progress_percent,
           o.completed_units, o.total_units, o.unit, o.message, o.started_at, o.updated_at, o.completed_at
    FROM placed t JOIN node o ON o.node_id = t.node_id
    ORDER BY t.place
$$;

COMMENT ON FUNCTION compat.get_progress_tree(uuid) IS
    'The nodes of an experiment as a tree: each after its parent, siblings in order of their start; tree is the '
    'indented name.';
