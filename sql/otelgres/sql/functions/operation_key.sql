-- The key of an operation in span_stats and hour_stats; a hash, because a name may be too long for an index entry. Without
-- a tenant it is the same as before there were tenants.
CREATE OR REPLACE FUNCTION _otel.operation_key(p_tenant_id integer, p_kind integer, p_role smallint, p_name text, p_service text)
RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN md5(CASE p_tenant_id
               WHEN 0 THEN (p_kind, p_role, p_name, p_service)::text
               ELSE (p_kind, p_role, p_name, p_service, p_tenant_id)::text
           END)::uuid;
