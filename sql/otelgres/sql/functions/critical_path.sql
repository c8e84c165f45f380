-- Walks back from the end of the root, at each moment into the child that ended last before it. Spans are numbered by
-- their end; v_first and v_next give for each number the child that ended last and the sibling that ended before. The
-- stack holds a span, its remaining part (v_low to v_high) and its next child.
CREATE OR REPLACE FUNCTION otel.critical_path(p_trace_id uuid)
RETURNS TABLE (
    n integer, span_id text, parent_span_id text, name text, service_name text, kind text, start_time timestamptz,
    offset_ms double precision, duration_ms double precision, share double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
    v_parents integer[];
    v_starts bigint[];
    v_ends bigint[];
    v_first integer[];
    v_next integer[];
    v_seen boolean[];
    v_spans integer[] := '{}';
    v_lows bigint[] := '{}';
    v_highs bigint[] := '{}';
    v_children integer[] := '{}';
    v_path_spans integer[] := '{}';
    v_path_lows bigint[] := '{}';
    v_path_highs bigint[] := '{}';
    v_root integer;
    v_count integer;
    v_top integer := 1;
    v_child integer;
    v_low bigint;
    v_high bigint;
BEGIN
    WITH numbered AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY e.end_ns, s.start_time_unix_nano DESC, s.span_id DESC, s.start_time DESC, s.tenant_id)::integer AS i,
               s.span_id, s.parent_span_id, s.tenant_id, s.start_time_unix_nano AS start_ns, e.end_ns
        FROM otel.spans s
        CROSS JOIN LATERAL (SELECT greatest(s.end_time_unix_nano, s.start_time_unix_nano) AS end_ns) e
        WHERE s.flow_id = p_trace_id
    ), parent AS MATERIALIZED (
        SELECT DISTINCT ON (p.span_id, p.tenant_id) p.span_id, p.tenant_id, p.i FROM numbered p
        ORDER BY p.span_id, p.tenant_id, p.start_ns, p.i
    )
    SELECT array_agg(parent.i ORDER BY c.i), array_agg(c.start_ns ORDER BY c.i), array_agg(c.end_ns ORDER BY c.i), count(*),
           coalesce(
               -- the root as in otel.flows; without one the orphan that ended last; in a cycle any span
               (array_agg(c.i ORDER BY c.start_ns, c.span_id) FILTER (WHERE c.parent_span_id IS NULL))[1],
               max(c.i) FILTER (WHERE parent.i IS NULL),
               max(c.i))
    INTO v_parents, v_starts, v_ends, v_count, v_root
    FROM numbered c LEFT JOIN parent ON parent.span_id = c.parent_span_id AND parent.tenant_id = c.tenant_id;
    IF v_count = 0 THEN
        RETURN;
    END IF;

    v_first := array_fill(NULL::integer, ARRAY[v_count]);
    v_next := array_fill(NULL::integer, ARRAY[v_count]);
    v_seen := array_fill(false, ARRAY[v_count]);
    FOR v_i IN 1 .. v_count LOOP
        IF v_parents[v_i] IS NOT NULL THEN
            v_next[v_i] := v_first[v_parents[v_i]];
            v_first[v_parents[v_i]] := v_i;
        END IF;
    END LOOP;

    v_spans[1] := v_root;
    v_lows[1] := v_starts[v_root];
    v_highs[1] := v_ends[v_root];
    v_children[1] := v_first[v_root];
    v_seen[v_root] := true;
    IF v_lows[1] = v_highs[1] THEN
        v_path_spans := ARRAY[v_root];
        v_path_lows := ARRAY[v_lows[1]];
        v_path_highs := ARRAY[v_highs[1]];
    END IF;
    WHILE v_top > 0 LOOP
        v_child := v_children[v_top];
        IF v_child IS NULL OR v_highs[v_top] <= v_lows[v_top] THEN
            IF v_highs[v_top] > v_lows[v_top] THEN
                v_path_spans := array_append(v_path_spans, v_spans[v_top]);
                v_path_lows := array_append(v_path_lows, v_lows[v_top]);
                v_path_highs := array_append(v_path_highs, v_highs[v_top]);
            END IF;
            v_top := v_top - 1;
            CONTINUE;
        END IF;
        v_children[v_top] := v_next[v_child];
        v_low := greatest(v_starts[v_child], v_lows[v_top]);
        v_high := least(v_ends[v_child], v_highs[v_top]);
        CONTINUE WHEN v_seen[v_child] OR v_high <= v_low;
        v_seen[v_child] := true;
        IF v_highs[v_top] > v_high THEN
            v_path_spans := array_append(v_path_spans, v_spans[v_top]);
            v_path_lows := array_append(v_path_lows, v_high);
            v_path_highs := array_append(v_path_highs, v_highs[v_top]);
        END IF;
        v_highs[v_top] := v_low;
        v_top := v_top + 1;
        v_spans[v_top] := v_child;
        v_lows[v_top] := v_low;
        v_highs[v_top] := v_high;
        v_children[v_top] := v_first[v_child];
    END LOOP;

    RETURN QUERY
    WITH numbered AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY e.end_ns, s.start_time_unix_nano DESC, s.span_id DESC, s.start_time DESC, s.tenant_id)::integer AS i,
               s.span_id, s.parent_span_id, s.name, s.service_name, s.kind
        FROM otel.spans s
        CROSS JOIN LATERAL (SELECT greatest(s.end_time_unix_nano, s.start_time_unix_nano) AS end_ns) e
        WHERE s.flow_id = p_trace_id
    )
    SELECT (row_number() OVER (ORDER BY p.low))::integer, s.span_id, s.parent_span_id, s.name, s.service_name, s.kind,
           timestamptz '1970-01-01 00:00:00+00' + (p.low / 1000) * interval '1 microsecond',
           (p.low - v_starts[v_root])::double precision / 1e6,
           (p.high - p.low)::double precision / 1e6,
           (p.high - p.low)::double precision / nullif(v_ends[v_root] - v_starts[v_root], 0)
    FROM unnest(v_path_spans, v_path_lows, v_path_highs) AS p (i, low, high)
    JOIN numbered s ON s.i = p.i
    ORDER BY p.low;
END
$$;
COMMENT ON FUNCTION otel.critical_path(uuid) IS
    'The critical path of a trace: consecutive intervals from the start (offset_ms) to the end of the root span, each '
    'with the span that was active in it. Their durations add up to that of the root; shortening one makes the trace '
    'faster. If no root span has ended, the span without a parent that ended last is used.';

CREATE OR REPLACE FUNCTION otel.critical_path(p_trace_id text)
RETURNS TABLE (
    n integer, span_id text, parent_span_id text, name text, service_name text, kind text, start_time timestamptz,
    offset_ms double precision, duration_ms double precision, share double precision)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.* FROM otel.critical_path(p_trace_id::uuid) t ORDER BY t.n
$$;
COMMENT ON FUNCTION otel.critical_path(text) IS 'otel.critical_path for a trace id of 32 hex digits.';
