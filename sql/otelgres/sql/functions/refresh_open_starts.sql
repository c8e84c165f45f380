-- Checks the starts stored since the last call, and keeps those that are open. Ten minutes behind: rows have the start
-- time of their transaction, and no transaction of a writer lasts that long. Only the owner may check later ones. Returns
-- the number of open starts; NULL if another receiver is running it.
CREATE OR REPLACE FUNCTION _otel.refresh_open_starts(p_late interval DEFAULT '10 minutes') RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_until CONSTANT timestamptz := now() - CASE
        WHEN pg_has_role(session_user, current_user, 'MEMBER') THEN p_late ELSE greatest(p_late, interval '10 minutes') END;
    v_since timestamptz;
BEGIN
    SELECT until INTO v_since FROM _otel.open_starts_checked FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    DELETE FROM _otel.open_starts o
    WHERE EXISTS (
            SELECT FROM _otel.spans s
            WHERE s.trace_id = o.trace_id AND s.span_id = o.span_id AND s.tenant_id = o.tenant_id
                AND s.start_time = o.time)
        -- The start record was dropped with its day.
        OR NOT EXISTS (SELECT FROM _otel.logs l WHERE l.trace_id = o.trace_id AND l.time = o.time);
    IF v_until > v_since THEN
        INSERT INTO _otel.open_starts (time, trace_id, span_id, tenant_id)
        SELECT l.time, l.trace_id, l.span_id, coalesce(l.tenant_id, 0)
        FROM _otel.logs l
        WHERE l.event_name = 'otelgres.span.start' AND l.received_at > v_since AND l.received_at <= v_until
            AND l.trace_id IS NOT NULL AND l.span_id IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM _otel.spans s
                WHERE s.trace_id = l.trace_id AND s.span_id = l.span_id AND s.tenant_id = coalesce(l.tenant_id, 0)
                    AND s.start_time = l.time)
        ON CONFLICT DO NOTHING;
        UPDATE _otel.open_starts_checked SET until = v_until;
    END IF;
    RETURN (SELECT count(*) FROM _otel.open_starts);
END
$$;
