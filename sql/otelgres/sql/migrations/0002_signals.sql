-- Spans, logs and metric points, partitioned by UTC day. A row whose time is out of range is stored at 1970-01-01 (in
-- the partition `_out_of_range`), with its exact nanoseconds in another column.

CREATE TABLE _otel.spans (
    start_time timestamptz NOT NULL,
    start_time_unix_nano bigint NOT NULL,
    end_time_unix_nano bigint NOT NULL,
    trace_id uuid NOT NULL,
    resource_id integer NOT NULL,
    scope_id integer NOT NULL,
    flags bigint NOT NULL,
    kind integer NOT NULL,
    status_code integer,               -- NULL: the span has no status
    dropped_attributes_count bigint NOT NULL,
    dropped_events_count bigint NOT NULL,
    dropped_links_count bigint NOT NULL,
    role smallint,                     -- the attribute otelgres.type: 1 flow, 2 phase, 3 checkpoint
    span_id bytea NOT NULL,
    parent_span_id bytea,
    name text NOT NULL,
    status_message text,
    trace_state text,
    attributes jsonb,                  -- NULL: none
    events jsonb,                      -- NULL: none
    links jsonb,                       -- NULL: none
    repaired jsonb,                    -- field -> exact value, if a column cannot represent it
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (trace_id, span_id, start_time)
) PARTITION BY RANGE (start_time);

-- Rows are stored nearly in order of time, so a block range index is effective and cheap.
CREATE INDEX spans_start_time ON _otel.spans USING brin (start_time) WITH (pages_per_range = 32, autosummarize = on);
-- For queries by 32 hex digits: a bloom filter per block range. A second B-tree would cost 1 µs more per span.
CREATE INDEX spans_trace_id_hex ON _otel.spans USING brin (encode(uuid_send(trace_id), 'hex') text_bloom_ops)
    WITH (pages_per_range = 64, autosummarize = on);

CREATE TABLE _otel.logs (
    time timestamptz NOT NULL,          -- time_unix_nano, else observed_time_unix_nano, else time of receipt
    time_unix_nano bigint NOT NULL,     -- 0: not set
    observed_time_unix_nano bigint NOT NULL,
    resource_id integer NOT NULL,
    scope_id integer NOT NULL,
    severity_number integer NOT NULL,
    flags bigint NOT NULL,
    dropped_attributes_count bigint NOT NULL,
    trace_id uuid,
    uid uuid,                           -- from the attribute log.record.uid, to recognise a repeated record
    span_id bytea,
    severity_text text,
    event_name text,
    body text,                          -- a string body
    body_value jsonb,                   -- any other body, or a string that text cannot represent; both NULL: no body
    attributes jsonb,                   -- NULL: none
    repaired jsonb,
    received_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (time);

-- The most frequent query for logs is the newest records, so time has a B-tree here.
CREATE INDEX logs_time ON _otel.logs (time);
CREATE INDEX logs_trace_id ON _otel.logs (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX logs_trace_id_hex ON _otel.logs USING brin (encode(uuid_send(trace_id), 'hex') text_bloom_ops)
    WITH (pages_per_range = 64, autosummarize = on);
CREATE UNIQUE INDEX logs_uid ON _otel.logs (uid, time) WHERE uid IS NOT NULL;

CREATE TABLE _otel.number_points (
    time timestamptz NOT NULL,
    series_id bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    start_time_unix_nano bigint NOT NULL,
    flags bigint NOT NULL,
    value_double double precision,      -- exactly one of the two values is set, or none with the flag NO_RECORDED_VALUE
    value_int bigint,
    exemplars jsonb,
    repaired jsonb,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (series_id, time, time_unix_nano, start_time_unix_nano)
) PARTITION BY RANGE (time);

CREATE TABLE _otel.histogram_points (
    time timestamptz NOT NULL,
    series_id bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    start_time_unix_nano bigint NOT NULL,
    flags bigint NOT NULL,
    count bigint NOT NULL,
    sum double precision,
    min double precision,
    max double precision,
    bucket_counts bigint[],
    explicit_bounds double precision[],
    exemplars jsonb,
    repaired jsonb,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (series_id, time, time_unix_nano, start_time_unix_nano)
) PARTITION BY RANGE (time);

CREATE TABLE _otel.exponential_histogram_points (
    time timestamptz NOT NULL,
    series_id bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    start_time_unix_nano bigint NOT NULL,
    flags bigint NOT NULL,
    count bigint NOT NULL,
    sum double precision,
    min double precision,
    max double precision,
    scale integer NOT NULL,
    zero_count bigint NOT NULL,
    zero_threshold double precision NOT NULL,
    positive_offset integer,            -- NULL: the point has no positive buckets
    positive_counts bigint[],
    negative_offset integer,
    negative_counts bigint[],
    exemplars jsonb,
    repaired jsonb,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (series_id, time, time_unix_nano, start_time_unix_nano)
) PARTITION BY RANGE (time);

CREATE TABLE _otel.summary_points (
    time timestamptz NOT NULL,
    series_id bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    start_time_unix_nano bigint NOT NULL,
    flags bigint NOT NULL,
    count bigint NOT NULL,
    sum double precision NOT NULL,
    quantiles double precision[],
    quantile_values double precision[],
    repaired jsonb,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (series_id, time, time_unix_nano, start_time_unix_nano)
) PARTITION BY RANGE (time);
