-- All partitioned tables and the interval of their partitions.

CREATE TABLE _otel.partitioned (
    name text PRIMARY KEY,
    stride interval NOT NULL,
    storage text NOT NULL               -- storage parameters of each partition: a partitioned table itself has none
);
INSERT INTO _otel.partitioned (name, stride, storage) VALUES
    ('spans', '1 day', ''),
    ('logs', '1 day', ''),
    ('number_points', '1 day', ''),
    ('histogram_points', '1 day', ''),
    ('exponential_histogram_points', '1 day', ''),
    ('summary_points', '1 day', ''),
    ('digests', '1 day', ''),
    ('losses', '1 day', ''),
    -- Rows here are updated as spans arrive: free space in the page allows HOT updates.
    ('span_stats', '1 day', 'fillfactor = 70'),
    ('flow_parts', '7 days', 'fillfactor = 70');
