-- The xmin of a row is the lower half of the id of the transaction that wrote it. The upper half follows from the
-- current id: no row of interest is two thousand million transactions old.
CREATE OR REPLACE FUNCTION _otel.arrived_after(p_xmin xid, p_newest bigint, p_seen pg_snapshot) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN NOT pg_visible_in_snapshot((p_newest - ((p_newest - p_xmin::text::bigint) & 4294967295))::text::xid8, p_seen);
