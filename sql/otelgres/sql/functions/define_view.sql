-- Creates relation `compat.<p_relation>` from a template: a SELECT in which {{column}} is replaced by the expression of
-- a mapped column and {{...}}, at the end of the select list, by the columns that the owner added. At each placeholder,
-- `attributes` (and `resource_attributes` if used) must name exactly one jsonb column.
CREATE OR REPLACE FUNCTION _otel.define_view(p_relation name, p_columns jsonb, p_template text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO _otel.mapped_views (relation, template, columns) VALUES (p_relation, p_template, p_columns)
    ON CONFLICT (relation) DO UPDATE SET template = excluded.template, columns = excluded.columns;
    PERFORM _otel.make_mapped_view(p_relation);
END
$$;
