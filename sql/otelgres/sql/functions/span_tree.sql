-- A trace as a tree, traversed in arrays: every span is visited once, even if parents are missing or form a cycle.
-- Spans are numbered in order of time; v_first and v_next give for each number the latest child and the next earlier
-- sibling, so that the earliest is pushed on the stack last and popped first.
-- No nested loops between the spans of a trace: the planner underestimates their number.
CREATE OR REPLACE FUNCTION otel.span_tree(p_trace_id uuid)
RETURNS TABLE (
    n integer, depth integer, label text, span_id text, parent_span_id text, name text, service_name text, kind text,
    start_time timestamptz, offset_ms double precision, duration_ms double precision, self_ms double precision, status text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50 SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
    v_parents integer[];
    v_first integer[];
    v_next integer[];
    v_depths integer[];
    v_order integer[] := '{}';
    -- Depths in the order of v_order: indexing an array in SQL takes time proportional to its length.
    v_order_depths integer[] := '{}';
    v_stack integer[] := '{}';
    v_top integer;
    v_count integer;
    v_at integer;
    v_child integer;
BEGIN
    -- For a duplicate span id the children belong to the earlier span, but never to one of another tenant.
    WITH numbered AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY s.start_time_unix_nano, s.span_id, s.start_time, s.tenant_id)::integer AS i,
               s.span_id, s.parent_span_id, s.tenant_id
        FROM otel.spans s WHERE s.flow_id = p_trace_id
    ), parent AS MATERIALIZED (
        SELECT p.span_id, p.tenant_id, min(p.i) AS i FROM numbered p GROUP BY p.span_id, p.tenant_id
    )
    SELECT array_agg(parent.i ORDER BY c.i), count(*) INTO v_parents, v_count
    FROM numbered c LEFT JOIN parent ON parent.span_id = c.parent_span_id AND parent.tenant_id = c.tenant_id;
    IF v_count = 0 THEN
        RETURN;
    END IF;

    v_first := array_fill(NULL::integer, ARRAY[v_count]);
    v_next := array_fill(NULL::integer, ARRAY[v_count]);
    v_depths := array_fill(NULL::integer, ARRAY[v_count]);
    FOR v_i IN 1 .. v_count LOOP
        IF v_parents[v_i] IS NOT NULL THEN
            v_next[v_i] := v_first[v_parents[v_i]];
            v_first[v_parents[v_i]] := v_i;
        END IF;
    END LOOP;

    -- First the roots and orphans; the remaining spans form cycles, which are entered at their earliest span.
    FOR v_pass IN 1 .. 2 LOOP
        FOR v_i IN 1 .. v_count LOOP
            CONTINUE WHEN v_depths[v_i] IS NOT NULL OR v_pass = 1 AND v_parents[v_i] IS NOT NULL;
            v_depths[v_i] := 0;
            v_stack[1] := v_i;
            v_top := 1;
            WHILE v_top > 0 LOOP
                v_at := v_stack[v_top];
                v_top := v_top - 1;
                v_order := array_append(v_order, v_at);
                v_order_depths := array_append(v_order_depths, v_depths[v_at]);
                v_child := v_first[v_at];
                WHILE v_child IS NOT NULL LOOP
                    IF v_depths[v_child] IS NULL THEN
                        v_depths[v_child] := v_depths[v_at] + 1;
                        v_top := v_top + 1;
                        v_stack[v_top] := v_child;
                    END IF;
                    v_child := v_next[v_child];
                END LOOP;
            END LOOP;
        END LOOP;
    END LOOP;

    RETURN QUERY
    WITH numbered AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY s.start_time_unix_nano, s.span_id, s.start_time, s.tenant_id)::integer AS i, s.*,
               min(s.start_time_unix_nano) OVER () AS first_unix_nano
        FROM otel.spans s WHERE s.flow_id = p_trace_id
    ), timing AS MATERIALIZED (
        SELECT t.span_id, t.start_time_unix_nano, t.tenant_id, t.self_ms FROM otel.phase_timing t WHERE t.flow_id = p_trace_id
    )
    SELECT o.n::integer, o.depth, repeat('  ', least(o.depth, 100)) || s.name,
           s.span_id, s.parent_span_id, s.name, s.service_name, s.kind, s.start_time,
           (s.start_time_unix_nano - s.first_unix_nano)::double precision / 1e6,
           greatest(s.duration_ms, 0), coalesce(t.self_ms, 0), s.status_code
    FROM unnest(v_order, v_order_depths) WITH ORDINALITY AS o (i, depth, n)
    JOIN numbered s ON s.i = o.i
    LEFT JOIN timing t ON t.span_id = s.span_id AND t.tenant_id = s.tenant_id AND t.start_time_unix_nano = s.start_time_unix_nano
    ORDER BY o.n;
END
$$;
COMMENT ON FUNCTION otel.span_tree(uuid) IS
    'A trace as a tree, parents before children, siblings in order of time: n, depth, label (the indented name), '
    'offset_ms from the earliest span, duration_ms, self_ms. Spans whose parent is missing have depth 0; cycles of '
    'parents start at their earliest span.';

CREATE OR REPLACE FUNCTION otel.span_tree(p_trace_id text)
RETURNS TABLE (
    n integer, depth integer, label text, span_id text, parent_span_id text, name text, service_name text, kind text,
    start_time timestamptz, offset_ms double precision, duration_ms double precision, self_ms double precision, status text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 50 SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.* FROM otel.span_tree(p_trace_id::uuid) t ORDER BY t.n
$$;
COMMENT ON FUNCTION otel.span_tree(text) IS 'otel.span_tree for a trace id of 32 hex digits.';
