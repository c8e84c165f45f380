-- The name of an OTLP span kind. Inlined: see _otel.time_of.
CREATE OR REPLACE FUNCTION _otel.span_kind(p_kind integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_kind
    WHEN 0 THEN 'UNSPECIFIED'
    WHEN 1 THEN 'INTERNAL'
    WHEN 2 THEN 'SERVER'
    WHEN 3 THEN 'CLIENT'
    WHEN 4 THEN 'PRODUCER'
    WHEN 5 THEN 'CONSUMER'
    ELSE p_kind::text
END;
COMMENT ON FUNCTION _otel.span_kind(integer) IS 'Name of an OTLP span kind; an unknown number is returned as text.';
