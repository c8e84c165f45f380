-- A view reads tables with the rights of its owner, but calls functions with those of the login.
CREATE OR REPLACE FUNCTION _otel.grant_tenant_rights() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_line text;
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'otelgres_tenant') THEN
        FOR v_line IN
            SELECT DISTINCT format('GRANT EXECUTE ON FUNCTION %s TO otelgres_tenant', p.oid::regprocedure)
            FROM pg_class v
            JOIN pg_rewrite w ON w.ev_class = v.oid
            JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_proc'::regclass
            JOIN pg_proc p ON p.oid = d.refobjid
            WHERE v.relnamespace IN ('otel_tenant'::regnamespace, '_otel'::regnamespace)
                AND (v.relnamespace = 'otel_tenant'::regnamespace OR v.relname LIKE 'tenant\_%')
                AND p.pronamespace IN ('otel'::regnamespace, '_otel'::regnamespace)
        LOOP
            EXECUTE v_line;
        END LOOP;
    END IF;
END
$$;
