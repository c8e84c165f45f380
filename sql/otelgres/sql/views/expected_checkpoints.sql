CREATE OR REPLACE VIEW otel.expected_checkpoints AS
SELECT DISTINCT ON (e.flow_name, e.tenant_id) e.flow_name, e.checkpoints, e.causes, e.declared_by, e.declared_at, n.name AS tenant
FROM (
    SELECT t.flow_name, t.checkpoints, t.causes, NULL::text AS declared_by, NULL::timestamptz AS declared_at, 0 AS tenant_id
    FROM _otel.flow_expectations t
    UNION ALL
    SELECT l.attributes ->> 'otelgres.flow.name',
           ARRAY(
               SELECT c.name FROM jsonb_array_elements_text(
                   CASE WHEN jsonb_typeof(l.attributes -> 'otelgres.expected.checkpoints') = 'array'
                       THEN l.attributes -> 'otelgres.expected.checkpoints' ELSE '[]' END) WITH ORDINALITY AS c (name, n)
               ORDER BY c.n),
           CASE WHEN jsonb_typeof(l.body_value) = 'object' THEN l.body_value ELSE '{}' END,
           r.service_name, l.time, coalesce(l.tenant_id, 0)
    FROM _otel.logs l LEFT JOIN _otel.resources r ON r.id = l.resource_id
    WHERE l.event_name = 'otelgres.integration' AND l.attributes ->> 'event_type' = 'expected_checkpoints'
        AND l.attributes ? 'otelgres.flow.name' AND l.time > now() - interval '8 days'
) e LEFT JOIN _otel.tenant_ids n ON n.id = e.tenant_id
ORDER BY e.flow_name, e.tenant_id, e.declared_at DESC NULLS LAST;

COMMENT ON VIEW otel.expected_checkpoints IS
    'Checkpoints that flows are expected to pass, by flow name: as last declared by an application '
    '(otel_setup.expected_checkpoints), else from otel.flow_expectations.';
COMMENT ON COLUMN otel.expected_checkpoints.flow_name IS
    'Name of the flow; for a flow of checkpoints only, its first checkpoint.';
COMMENT ON COLUMN otel.expected_checkpoints.checkpoints IS 'Expected checkpoints, in order.';
COMMENT ON COLUMN otel.expected_checkpoints.causes IS 'Object: checkpoint to the likely cause if it is missing.';
COMMENT ON COLUMN otel.expected_checkpoints.declared_by IS
    'The service that declared them; NULL: from otel.flow_expectations.';
COMMENT ON COLUMN otel.expected_checkpoints.declared_at IS 'When the service last declared them.';
COMMENT ON COLUMN otel.expected_checkpoints.tenant IS
    'The tenant whose service declared them: they apply to flows of this tenant alone. NULL: to all flows.';
