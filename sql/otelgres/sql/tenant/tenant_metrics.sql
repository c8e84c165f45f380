-- A metric is shared: when it was first seen is that of the tenant's own series.
CREATE OR REPLACE VIEW _otel.tenant_metrics AS
SELECT m.id, m.hash, m.name, m.description, m.unit, m.type, m.temporality, m.is_monotonic, m.metadata, m.repaired, o.first_seen
FROM (
    SELECT s.metric_id, min(s.first_seen) AS first_seen
    FROM _otel.series s JOIN _otel.resources r ON r.id = s.resource_id
    WHERE r.tenant_id = (SELECT _otel.current_tenant_id())
    GROUP BY s.metric_id
) o JOIN _otel.metrics m ON m.id = o.metric_id;
