-- By who has logged in: current_user changes with SET ROLE and inside of functions, a setting can be set by anybody, and
-- this can be changed by superusers alone.
CREATE OR REPLACE FUNCTION _otel.current_tenant() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tenant FROM _otel.tenants t WHERE t.role_name = session_user
$$;
