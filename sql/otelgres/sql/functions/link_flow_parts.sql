-- Marks the parts of those flows that have spans in other weeks as well. Called for every part that is new (those of
-- weeks p_first to p_last): nothing that a part knows, not even a root, says that no other part came first. One look-up of
-- all of them in each week; the week that is looked from is left out when it is the only one, as it nearly always is. One
-- plan for good: to plan for the very ids costs more than the look-up.
DROP FUNCTION IF EXISTS _otel.link_flow_parts(uuid[], timestamptz[]);
CREATE OR REPLACE FUNCTION _otel.link_flow_parts(p_traces uuid[], p_first timestamptz, p_last timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_split uuid[];
BEGIN
    SELECT array_agg(s.trace_id) INTO v_split
    FROM (
        SELECT o.trace_id FROM _otel.flow_parts o
        WHERE o.trace_id = ANY (p_traces) AND (o.week < p_last OR o.week >= p_first + interval '7 days')
        GROUP BY o.trace_id
        HAVING count(*) > 1 OR p_first = p_last
    ) s;
    IF v_split IS NOT NULL THEN
        UPDATE _otel.flow_parts SET linked = true WHERE trace_id = ANY (v_split) AND NOT linked;
    END IF;
END
$$;
