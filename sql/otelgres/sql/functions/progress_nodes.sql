-- The latest reports of the nodes of an experiment, field by field, whatever the order of arrival: by time in
-- nanoseconds, then by uid of the record, then by content. Numbers out of range are ignored.
CREATE OR REPLACE FUNCTION _otel.progress_nodes(p_experiment_id uuid)
RETURNS TABLE (
    node_id text, experiment_name text, parent_id text, level text, name text, status text, own_percent double precision,
    weight double precision, parts double precision, completed_units double precision, total_units double precision,
    unit text, message text, started_at timestamptz, updated_at timestamptz, completed_at timestamptz, attributes jsonb)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 50 SET search_path = pg_catalog, pg_temp AS $$
    WITH reports AS (
        SELECT l.attributes ->> 'node_id' AS node_id, l.time, l.body, l.attributes AS a,
               lower(l.attributes ->> 'progress.status') AS status,
               CASE WHEN abs(v.percent) <= 1e15 THEN v.percent END AS percent,
               CASE WHEN abs(v.done) <= 1e15 THEN v.done END AS done,
               CASE WHEN v.total BETWEEN 1e-9 AND 1e15 THEN v.total END AS total,
               CASE WHEN v.weight BETWEEN 1e-6 AND 1e9 THEN v.weight END AS weight,
               CASE WHEN v.parts BETWEEN 1 AND 1e9 THEN v.parts END AS parts,
               row_number() OVER (
                   PARTITION BY l.attributes ->> 'node_id'
                   ORDER BY l.time_unix_nano DESC, l.uid DESC NULLS LAST, l.attributes DESC) AS n
        FROM _otel.logs l
        CROSS JOIN LATERAL (
            SELECT _otel.number_of(l.attributes ->> 'progress.percent') AS percent,
                   _otel.number_of(l.attributes ->> 'progress.done') AS done,
                   _otel.number_of(l.attributes ->> 'progress.total') AS total,
                   _otel.number_of(l.attributes ->> 'progress.weight') AS weight,
                   _otel.number_of(l.attributes ->> 'progress.parts') AS parts
        ) v
        WHERE CASE WHEN l.attributes ->> 'experiment_id' ~ '^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$'
            THEN (l.attributes ->> 'experiment_id')::uuid END = p_experiment_id
            AND l.attributes ? 'experiment_id' AND l.event_name = 'otelgres.progress' AND l.attributes ? 'node_id'
    ),
    latest AS (
        SELECT t.node_id,
               (array_agg(t.a ->> 'experiment_name' ORDER BY t.n) FILTER (WHERE t.a ? 'experiment_name'))[1] AS experiment_name,
               (array_agg(t.a ->> 'progress.parent_id' ORDER BY t.n) FILTER (WHERE t.a ? 'progress.parent_id'))[1] AS parent_id,
               (array_agg(t.a ->> 'progress.level' ORDER BY t.n) FILTER (WHERE t.a ? 'progress.level'))[1] AS level,
               (array_agg(t.a ->> 'progress.name' ORDER BY t.n) FILTER (WHERE t.a ? 'progress.name'))[1] AS name,
               (array_agg(t.status ORDER BY t.n) FILTER (WHERE t.status IS NOT NULL))[1] AS status,
               -- The latest report with progress, in percent or in units.
               (array_agg(ROW (t.percent, t.done)::_otel.progress_value ORDER BY t.n) FILTER (WHERE t.percent IS NOT NULL OR t.done IS NOT NULL))[1] AS value,
               (array_agg(t.done ORDER BY t.n) FILTER (WHERE t.done IS NOT NULL))[1] AS done,
               (array_agg(t.total ORDER BY t.n) FILTER (WHERE t.total IS NOT NULL))[1] AS total,
               (array_agg(t.a ->> 'progress.unit' ORDER BY t.n) FILTER (WHERE t.a ? 'progress.unit'))[1] AS unit,
               (array_agg(t.weight ORDER BY t.n) FILTER (WHERE t.weight IS NOT NULL))[1] AS weight,
               (array_agg(t.parts ORDER BY t.n) FILTER (WHERE t.parts IS NOT NULL))[1] AS parts,
               (array_agg(t.body ORDER BY t.n) FILTER (WHERE t.body IS NOT NULL))[1] AS message,
               (array_agg(t.a ORDER BY t.n))[1] AS a,
               min(t.time) AS started_at,
               max(t.time) AS updated_at,
               max(t.time) FILTER (WHERE t.status IN ('completed', 'failed', 'cancelled', 'skipped')) AS ended_at
        FROM reports t
        GROUP BY t.node_id
    )
    SELECT l.node_id, l.experiment_name, nullif(l.parent_id, l.node_id), l.level, coalesce(l.name, l.node_id), l.status,
           greatest(0, least(100, coalesce(
               (l.value).percent, 100 * (l.value).done / l.total,
               CASE WHEN l.status IN ('completed', 'skipped') THEN 100 ELSE 0 END))),
           coalesce(l.weight, 1), coalesce(l.parts, 0), l.done, l.total, l.unit, l.message, l.started_at, l.updated_at,
           CASE WHEN l.status IN ('completed', 'failed', 'cancelled', 'skipped') THEN l.ended_at END, l.a
    FROM latest l
$$;
