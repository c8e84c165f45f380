-- Nanoseconds since 1970 as timestamptz. Inlined, so its body must be one expression, without SET search_path; RETURN
-- binds the names when the function is created.
CREATE OR REPLACE FUNCTION _otel.time_of(p_unix_nano bigint) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN timestamptz '1970-01-01 00:00:00+00' + (p_unix_nano / 1000) * interval '1 microsecond';
COMMENT ON FUNCTION _otel.time_of(bigint) IS
    'Nanoseconds since 1970-01-01 UTC as timestamptz, cut to the microsecond.';
