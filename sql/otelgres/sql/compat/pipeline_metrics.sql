SELECT _otel.define_view('pipeline_metrics',
'{"experiment_name": {"attributes": ["experiment_name"], "type": "text"},
  "node_id": {"attributes": ["node_id"], "type": "text"},
  "stage": {"attributes": ["stage"], "type": "text"}}', $view$
SELECT hashtextextended(n.series_id::text || ':' || n.time_unix_nano::text, 0) AS id,
       n.time AS "timestamp",
       CASE WHEN attributes ->> 'experiment_id' ~ '^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$'
            THEN (attributes ->> 'experiment_id')::uuid END AS experiment_id,
       {{experiment_name}} AS experiment_name,
       {{node_id}} AS node_id,
       {{stage}} AS stage,
       coalesce(attributes ->> 'pipeline.metric_type', CASE
           WHEN m.name ~ '(^|\.)cpu\.' THEN 'cpu'
           WHEN m.name ~ '(^|\.)memory\.' THEN 'memory'
           WHEN m.name ~ '(^|\.)(disk|filesystem)\.' THEN 'disk'
           WHEN m.unit LIKE '%/s' THEN 'throughput'
           ELSE 'custom'
       END) AS metric_type,
       m.name AS metric_name,
       coalesce(n.value_double, n.value_int::double precision) AS metric_value,
       m.unit,
       r.service_name,
       n.received_at AS created_at,
       attributes{{...}}
FROM _otel.series s
JOIN (SELECT p.series_id, p.time, p.time_unix_nano, p.value_double, p.value_int, p.received_at FROM _otel.number_points p) n ON n.series_id = s.id
JOIN (SELECT d.id, d.name, d.unit FROM _otel.metrics d) m ON m.id = s.metric_id
LEFT JOIN (SELECT d.id, d.service_name, d.attributes AS resource_attributes FROM _otel.resources d) r ON r.id = s.resource_id
WHERE attributes ? 'experiment_id'
$view$);

COMMENT ON VIEW compat.pipeline_metrics IS
    'Metric points of type gauge or sum with the attribute experiment_id. Filter by experiment_id and timestamp.';
COMMENT ON COLUMN compat.pipeline_metrics.id IS 'Stable id of the point.';
COMMENT ON COLUMN compat.pipeline_metrics."timestamp" IS 'When it was measured.';
COMMENT ON COLUMN compat.pipeline_metrics.experiment_id IS
    'The experiment: attribute experiment_id; NULL if it is not a uuid.';
COMMENT ON COLUMN compat.pipeline_metrics.experiment_name IS 'Name of the experiment.';
COMMENT ON COLUMN compat.pipeline_metrics.node_id IS 'The node of the pipeline.';
COMMENT ON COLUMN compat.pipeline_metrics.stage IS 'The stage.';
COMMENT ON COLUMN compat.pipeline_metrics.metric_type IS 'cpu, memory, disk, throughput or custom.';
COMMENT ON COLUMN compat.pipeline_metrics.metric_name IS 'Name of the metric.';
COMMENT ON COLUMN compat.pipeline_metrics.metric_value IS 'Value.';
COMMENT ON COLUMN compat.pipeline_metrics.unit IS 'Unit.';
COMMENT ON COLUMN compat.pipeline_metrics.service_name IS 'The service that measured it.';
COMMENT ON COLUMN compat.pipeline_metrics.created_at IS 'When it was stored.';
COMMENT ON COLUMN compat.pipeline_metrics.attributes IS 'Attributes of the series.';
