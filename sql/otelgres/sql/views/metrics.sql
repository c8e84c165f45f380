CREATE OR REPLACE VIEW otel.metrics AS
SELECT m.name AS metric_name,
       CASE m.type
           WHEN 5 THEN 'gauge'
           WHEN 7 THEN 'sum'
           WHEN 9 THEN 'histogram'
           WHEN 10 THEN 'exponential_histogram'
           WHEN 11 THEN 'summary'
           ELSE m.type::text
       END AS type,
       m.unit,
       CASE m.temporality
           WHEN 0 THEN 'UNSPECIFIED'
           WHEN 1 THEN 'DELTA'
           WHEN 2 THEN 'CUMULATIVE'
           ELSE m.temporality::text
       END AS temporality,
       m.is_monotonic,
       m.description,
       m.metadata,
       m.first_seen
FROM _otel.metrics m;

COMMENT ON VIEW otel.metrics IS 'All metrics. A name that is used with several definitions has a row for each.';
COMMENT ON COLUMN otel.metrics.metric_name IS 'Name, as in otel.metric_points.';
COMMENT ON COLUMN otel.metrics.type IS 'gauge, sum, histogram, exponential_histogram or summary.';
COMMENT ON COLUMN otel.metrics.unit IS 'Unit of the values, in UCUM; empty if not set.';
COMMENT ON COLUMN otel.metrics.temporality IS 'DELTA or CUMULATIVE; NULL if the type has none.';
COMMENT ON COLUMN otel.metrics.is_monotonic IS 'Whether a sum never decreases; NULL for other types.';
COMMENT ON COLUMN otel.metrics.description IS 'Description; empty if not set.';
COMMENT ON COLUMN otel.metrics.metadata IS 'Metadata of the metric.';
COMMENT ON COLUMN otel.metrics.first_seen IS 'When it was first stored.';
