-- Text as a number, NULL if it is not a number: attributes may contain anything.
CREATE OR REPLACE FUNCTION _otel.number_of(p_text text) RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN pg_input_is_valid(p_text, 'double precision') THEN p_text::double precision END;
