-- Roll-ups of span_stats, so that queries over many hours need not read every minute of every operation.

ALTER TABLE _otel.span_stats ADD COLUMN role smallint;  -- as in spans: 1 flow, 2 phase

-- span_stats by hour, one row per operation. Written when an hour is over, and again after late spans.
CREATE TABLE _otel.hour_stats (
    hour timestamptz NOT NULL,
    key uuid NOT NULL,                  -- as in span_stats
    kind integer NOT NULL,
    role smallint,
    count bigint NOT NULL,
    error_count bigint NOT NULL,
    duration_sum_ns double precision NOT NULL,
    duration_min_ns bigint NOT NULL,
    duration_max_ns bigint NOT NULL,
    service_name text NOT NULL,
    name text NOT NULL,
    latency_buckets smallint[] NOT NULL,
    latency_counts bigint[] NOT NULL,
    PRIMARY KEY (hour, key)
) PARTITION BY RANGE (hour);

-- span_stats summed over the operations of a service, by minute. Written together with hour_stats.
CREATE TABLE _otel.service_stats (
    minute timestamptz NOT NULL,
    service_name text NOT NULL,
    kind integer NOT NULL,
    count bigint NOT NULL,
    error_count bigint NOT NULL,
    duration_sum_ns double precision NOT NULL,
    duration_min_ns bigint NOT NULL,
    duration_max_ns bigint NOT NULL,
    latency_buckets smallint[] NOT NULL,
    latency_counts bigint[] NOT NULL
) PARTITION BY RANGE (minute);
CREATE INDEX service_stats_minute ON _otel.service_stats (minute);

-- Hours whose minutes have changed since they were last rolled up. The first table is written with the spans; the
-- second contains the hours being rolled up, so that none is lost if the roll-up is interrupted.
CREATE TABLE _otel.rollup_hours_changed (
    hour timestamptz NOT NULL,
    slot smallint NOT NULL,             -- by writer, so that writers do not wait for each other's row locks
    PRIMARY KEY (hour, slot)
);
CREATE TABLE _otel.rollup_hours_in_progress (hour timestamptz PRIMARY KEY);

INSERT INTO _otel.partitioned (name, stride, storage) VALUES
    ('service_stats', '7 days', ''),
    ('hour_stats', '7 days', '');

INSERT INTO _otel.rollup_hours_changed (hour, slot)
SELECT DISTINCT date_bin('1 hour', minute, '2024-01-01 00:00:00+00'), 0 FROM _otel.span_stats;
