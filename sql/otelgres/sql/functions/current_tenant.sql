-- By session_user, which only superusers can change: current_user changes with SET ROLE and in functions, and anyone
-- can change a setting.
CREATE OR REPLACE FUNCTION _otel.current_tenant() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tenant FROM _otel.tenants t WHERE t.role_name = session_user
$$;
