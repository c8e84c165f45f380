-- The union of the four point tables. Each branch is a simple SELECT with equal column types: otherwise the planner
-- would not push filters through UNION ALL to the partitions and indexes.
CREATE OR REPLACE VIEW otel.metric_points AS
SELECT p.time,
       _otel.time_of(nullif(p.start_time_unix_nano, 0)) AS start_time,
       p.time_unix_nano,
       p.start_time_unix_nano,
       m.name AS metric_name,
       m.description,
       m.unit,
       CASE m.type
           WHEN 5 THEN 'gauge'
           WHEN 7 THEN 'sum'
           WHEN 9 THEN 'histogram'
           WHEN 10 THEN 'exponential_histogram'
           WHEN 11 THEN 'summary'
           ELSE m.type::text
       END AS type,
       CASE m.temporality
           WHEN 0 THEN 'UNSPECIFIED'
           WHEN 1 THEN 'DELTA'
           WHEN 2 THEN 'CUMULATIVE'
           ELSE m.temporality::text
       END AS temporality,
       m.is_monotonic,
       coalesce(p.value_double, p.value_int::double precision) AS value,
       p.value_int,
       p.count,
       p.sum,
       p.min,
       p.max,
       p.explicit_bounds,
       p.bucket_counts,
       p.scale,
       p.zero_count,
       p.zero_threshold,
       p.positive_offset,
       p.positive_counts,
       p.negative_offset,
       p.negative_counts,
       p.quantiles,
       p.quantile_values,
       coalesce(p.exemplars, '[]') AS exemplars,
       s.attributes,
       r.attributes AS resource_attributes,
       r.service_name,
       c.name AS scope_name,
       c.version AS scope_version,
       p.flags,
       p.flags & 1 = 1 AS no_recorded_value,
       p.series_id,
       p.repaired,
       p.received_at
FROM (
    SELECT n.time, n.series_id, n.time_unix_nano, n.start_time_unix_nano, n.flags,
           n.value_double, n.value_int,
           NULL::bigint AS count, NULL::double precision AS sum, NULL::double precision AS min, NULL::double precision AS max,
           NULL::double precision[] AS explicit_bounds, NULL::bigint[] AS bucket_counts,
           NULL::integer AS scale, NULL::bigint AS zero_count, NULL::double precision AS zero_threshold,
           NULL::integer AS positive_offset, NULL::bigint[] AS positive_counts,
           NULL::integer AS negative_offset, NULL::bigint[] AS negative_counts,
           NULL::double precision[] AS quantiles, NULL::double precision[] AS quantile_values,
           n.exemplars, n.repaired, n.received_at
    FROM _otel.number_points n
    UNION ALL
    SELECT h.time, h.series_id, h.time_unix_nano, h.start_time_unix_nano, h.flags,
           NULL::double precision, NULL::bigint,
           h.count, h.sum, h.min, h.max,
           h.explicit_bounds, h.bucket_counts,
           NULL::integer, NULL::bigint, NULL::double precision,
           NULL::integer, NULL::bigint[],
           NULL::integer, NULL::bigint[],
           NULL::double precision[], NULL::double precision[],
           h.exemplars, h.repaired, h.received_at
    FROM _otel.histogram_points h
    UNION ALL
    SELECT e.time, e.series_id, e.time_unix_nano, e.start_time_unix_nano, e.flags,
           NULL::double precision, NULL::bigint,
           e.count, e.sum, e.min, e.max,
           NULL::double precision[], NULL::bigint[],
           e.scale, e.zero_count, e.zero_threshold,
           e.positive_offset, e.positive_counts,
           e.negative_offset, e.negative_counts,
           NULL::double precision[], NULL::double precision[],
           e.exemplars, e.repaired, e.received_at
    FROM _otel.exponential_histogram_points e
    UNION ALL
    SELECT q.time, q.series_id, q.time_unix_nano, q.start_time_unix_nano, q.flags,
           NULL::double precision, NULL::bigint,
           q.count, q.sum, NULL::double precision, NULL::double precision,
           NULL::double precision[], NULL::bigint[],
           NULL::integer, NULL::bigint, NULL::double precision,
           NULL::integer, NULL::bigint[],
           NULL::integer, NULL::bigint[],
           q.quantiles, q.quantile_values,
           NULL::jsonb, q.repaired, q.received_at
    FROM _otel.summary_points q
) p
LEFT JOIN _otel.series s ON s.id = p.series_id
LEFT JOIN _otel.metrics m ON m.id = s.metric_id
LEFT JOIN _otel.resources r ON r.id = s.resource_id
LEFT JOIN _otel.scopes c ON c.id = s.scope_id;

COMMENT ON VIEW otel.metric_points IS
    'All metric data points of all types; columns that do not apply to a type are NULL. Filter by time and '
    'metric_name.';
COMMENT ON COLUMN otel.metric_points.time IS
    'Time of the measurement. 1970-01-01 if out of range: time_unix_nano has the original value.';
COMMENT ON COLUMN otel.metric_points.start_time IS 'Start of the interval of a sum or histogram; NULL if not set.';
COMMENT ON COLUMN otel.metric_points.time_unix_nano IS 'Time of the measurement in nanoseconds since 1970.';
COMMENT ON COLUMN otel.metric_points.start_time_unix_nano IS 'start_time in nanoseconds since 1970; 0 if not set.';
COMMENT ON COLUMN otel.metric_points.metric_name IS 'Name of the metric.';
COMMENT ON COLUMN otel.metric_points.description IS 'Description of the metric.';
COMMENT ON COLUMN otel.metric_points.unit IS 'Unit of the values, in UCUM: ms, By, {request} …';
COMMENT ON COLUMN otel.metric_points.type IS 'gauge, sum, histogram, exponential_histogram or summary.';
COMMENT ON COLUMN otel.metric_points.temporality IS
    'DELTA: since the previous point; CUMULATIVE: since start_time; UNSPECIFIED; NULL if the type has none.';
COMMENT ON COLUMN otel.metric_points.is_monotonic IS 'Whether a sum never decreases; NULL for other types.';
COMMENT ON COLUMN otel.metric_points.value IS 'Value of a gauge or sum, also if it is an integer.';
COMMENT ON COLUMN otel.metric_points.value_int IS 'Exact value of a gauge or sum that is an integer.';
COMMENT ON COLUMN otel.metric_points.count IS 'Number of measurements in a histogram or summary.';
COMMENT ON COLUMN otel.metric_points.sum IS 'Sum of the measurements.';
COMMENT ON COLUMN otel.metric_points.min IS 'Smallest measurement.';
COMMENT ON COLUMN otel.metric_points.max IS 'Largest measurement.';
COMMENT ON COLUMN otel.metric_points.explicit_bounds IS
    'Histogram: upper bounds (inclusive) of all buckets except the last.';
COMMENT ON COLUMN otel.metric_points.bucket_counts IS 'Histogram: measurements in each bucket.';
COMMENT ON COLUMN otel.metric_points.scale IS 'Exponential histogram: buckets grow by the factor 2^(2^-scale).';
COMMENT ON COLUMN otel.metric_points.zero_count IS 'Exponential histogram: measurements within zero_threshold of 0.';
COMMENT ON COLUMN otel.metric_points.zero_threshold IS 'Exponential histogram: half the width of the bucket around 0.';
COMMENT ON COLUMN otel.metric_points.positive_offset IS 'Exponential histogram: index of the first positive bucket.';
COMMENT ON COLUMN otel.metric_points.positive_counts IS 'Exponential histogram: measurements in each positive bucket.';
COMMENT ON COLUMN otel.metric_points.negative_offset IS 'Exponential histogram: index of the first negative bucket.';
COMMENT ON COLUMN otel.metric_points.negative_counts IS 'Exponential histogram: measurements in each negative bucket.';
COMMENT ON COLUMN otel.metric_points.quantiles IS 'Summary: the quantiles, each 0 to 1.';
COMMENT ON COLUMN otel.metric_points.quantile_values IS 'Summary: the values of those quantiles, in the same order.';
COMMENT ON COLUMN otel.metric_points.exemplars IS
    'Array of {time_unix_nano, value, value_int, trace_id, span_id, filtered_attributes}: sample measurements with '
    'the span in which they were made.';
COMMENT ON COLUMN otel.metric_points.attributes IS 'Attributes of the series.';
COMMENT ON COLUMN otel.metric_points.resource_attributes IS 'Resource attributes: host, process, deployment …';
COMMENT ON COLUMN otel.metric_points.service_name IS 'service.name of the resource.';
COMMENT ON COLUMN otel.metric_points.scope_name IS 'Name of the meter (instrumentation scope).';
COMMENT ON COLUMN otel.metric_points.scope_version IS 'Version of the meter.';
COMMENT ON COLUMN otel.metric_points.flags IS 'Bit 0: no recorded value.';
COMMENT ON COLUMN otel.metric_points.no_recorded_value IS
    'Whether the sender reports that there is no value: the series has ended or was not measured.';
COMMENT ON COLUMN otel.metric_points.series_id IS 'Identifies the metric, resource, scope and attributes of the point.';
COMMENT ON COLUMN otel.metric_points.repaired IS
    'Values that a column cannot represent: field -> exact value. NULL if none.';
COMMENT ON COLUMN otel.metric_points.received_at IS 'When the row was written.';
