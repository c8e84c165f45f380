-- The tenant of the login; NULL if it has none. By session_user, which only superusers can change: current_user changes
-- with SET ROLE and in functions, and anyone can change a setting.
CREATE OR REPLACE FUNCTION _otel.current_tenant_id() RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp AS $$
    SELECT i.id FROM _otel.tenants t
    JOIN _otel.tenant_ids i ON i.hash = encode(substring(sha256(convert_to(t.tenant, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid
    WHERE t.role_name = session_user
$$;
