-- The four point tables as one. Each branch is one plain SELECT with equal column types: only then does the planner see
-- through UNION ALL to the partitions and indexes below.
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
    'Every metric data point of every type; columns that a type does not have are NULL. Filter by time and metric_name.';
COMMENT ON COLUMN otel.metric_points.time IS 'When it was measured. 1970-01-01 if that lies outside the bounds that are accepted: '
    'time_unix_nano has the truth.';
COMMENT ON COLUMN otel.metric_points.start_time IS 'Since when a sum or a histogram counts; NULL if the sender did not say.';
COMMENT ON COLUMN otel.metric_points.time_unix_nano IS 'When it was measured, in nanoseconds since 1970.';
COMMENT ON COLUMN otel.metric_points.start_time_unix_nano IS 'start_time in nanoseconds since 1970; 0: not said.';
COMMENT ON COLUMN otel.metric_points.metric_name IS 'Name of the metric.';
COMMENT ON COLUMN otel.metric_points.description IS 'What the metric means.';
COMMENT ON COLUMN otel.metric_points.unit IS 'Unit of the values, in UCUM: ms, By, {request} …';
COMMENT ON COLUMN otel.metric_points.type IS 'gauge, sum, histogram, exponential_histogram or summary.';
COMMENT ON COLUMN otel.metric_points.temporality IS 'DELTA: since the last point; CUMULATIVE: since start_time; UNSPECIFIED; NULL '
    'where the type has none.';
COMMENT ON COLUMN otel.metric_points.is_monotonic IS 'Whether a sum only ever grows; NULL where the type has no such thing.';
COMMENT ON COLUMN otel.metric_points.value IS 'Value of a gauge or a sum, also when it is an integer.';
COMMENT ON COLUMN otel.metric_points.value_int IS 'Value of a gauge or a sum that is an integer, exactly.';
COMMENT ON COLUMN otel.metric_points.count IS 'Number of measurements in a histogram or a summary.';
COMMENT ON COLUMN otel.metric_points.sum IS 'Their sum.';
COMMENT ON COLUMN otel.metric_points.min IS 'The least of them.';
COMMENT ON COLUMN otel.metric_points.max IS 'The greatest of them.';
COMMENT ON COLUMN otel.metric_points.explicit_bounds IS 'Histogram: upper bounds (inclusive) of all buckets but the last.';
COMMENT ON COLUMN otel.metric_points.bucket_counts IS 'Histogram: measurements in each bucket.';
COMMENT ON COLUMN otel.metric_points.scale IS 'Exponential histogram: buckets grow by the factor 2^(2^-scale).';
COMMENT ON COLUMN otel.metric_points.zero_count IS 'Exponential histogram: measurements at most zero_threshold away from 0.';
COMMENT ON COLUMN otel.metric_points.zero_threshold IS 'Exponential histogram: half the width of the bucket around 0.';
COMMENT ON COLUMN otel.metric_points.positive_offset IS 'Exponential histogram: index of the first positive bucket.';
COMMENT ON COLUMN otel.metric_points.positive_counts IS 'Exponential histogram: measurements in each positive bucket.';
COMMENT ON COLUMN otel.metric_points.negative_offset IS 'Exponential histogram: index of the first negative bucket.';
COMMENT ON COLUMN otel.metric_points.negative_counts IS 'Exponential histogram: measurements in each negative bucket.';
COMMENT ON COLUMN otel.metric_points.quantiles IS 'Summary: which quantiles, each 0 to 1.';
COMMENT ON COLUMN otel.metric_points.quantile_values IS 'Summary: the values of those quantiles, in the same order.';
COMMENT ON COLUMN otel.metric_points.exemplars IS 'Array of {time_unix_nano, value, value_int, trace_id, span_id, '
    'filtered_attributes}: single measurements with the span in which they were made.';
COMMENT ON COLUMN otel.metric_points.attributes IS 'The attributes of the series.';
COMMENT ON COLUMN otel.metric_points.resource_attributes IS 'What the sender said about itself: host, process, deployment …';
COMMENT ON COLUMN otel.metric_points.service_name IS 'service.name of the resource.';
COMMENT ON COLUMN otel.metric_points.scope_name IS 'The meter''s name.';
COMMENT ON COLUMN otel.metric_points.scope_version IS 'Version of that meter.';
COMMENT ON COLUMN otel.metric_points.flags IS 'Bit 0: no recorded value.';
COMMENT ON COLUMN otel.metric_points.no_recorded_value IS 'The series has ended or was not measured: the absence of a value is meant.';
COMMENT ON COLUMN otel.metric_points.series_id IS 'The same for all points with the same metric, resource, scope and attributes.';
COMMENT ON COLUMN otel.metric_points.repaired IS 'What a column could not hold as it was: field -> its exact value. NULL: nothing.';
COMMENT ON COLUMN otel.metric_points.received_at IS 'When the row was written.';
