-- Every table that grows, and the stride of its partitions.

CREATE TABLE _otel.partitioned (
    name text PRIMARY KEY,
    stride interval NOT NULL,
    storage text NOT NULL               -- storage parameters of each partition: a partitioned table itself takes none
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
    -- Rows here are updated in place as spans arrive: room on the page keeps those updates off the indexes.
    ('span_stats', '1 day', 'fillfactor = 70'),
    ('flow_parts', '7 days', 'fillfactor = 70');
