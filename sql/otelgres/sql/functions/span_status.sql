-- The name of an OTLP status code. Inlined: see _otel.time_of.
CREATE OR REPLACE FUNCTION _otel.span_status(p_code integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE coalesce(p_code, 0)
    WHEN 0 THEN 'UNSET'
    WHEN 1 THEN 'OK'
    WHEN 2 THEN 'ERROR'
    ELSE p_code::text
END;
COMMENT ON FUNCTION _otel.span_status(integer) IS
    'Name of an OTLP status code: UNSET (also for NULL), OK, ERROR; an unknown number is returned as text.';
