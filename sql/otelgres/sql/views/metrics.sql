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

COMMENT ON VIEW otel.metrics IS 'Which metrics there are. One name may be told of in several ways, and has a row for each.';
COMMENT ON COLUMN otel.metrics.metric_name IS 'Its name, as in otel.metric_points.';
COMMENT ON COLUMN otel.metrics.type IS 'gauge, sum, histogram, exponential_histogram or summary.';
COMMENT ON COLUMN otel.metrics.unit IS 'Unit of its values, in UCUM; empty if not said.';
COMMENT ON COLUMN otel.metrics.temporality IS 'DELTA or CUMULATIVE; NULL where the type has none.';
COMMENT ON COLUMN otel.metrics.is_monotonic IS 'Whether a sum never falls; NULL where the type has none.';
COMMENT ON COLUMN otel.metrics.description IS 'What it measures; empty if not said.';
COMMENT ON COLUMN otel.metrics.metadata IS 'What else is said of it.';
COMMENT ON COLUMN otel.metrics.first_seen IS 'When it was stored first.';
