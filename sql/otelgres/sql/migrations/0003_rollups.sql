-- Roll-ups kept up to date by statement-level triggers on spans: one row per flow (trace), and one per minute and
-- operation.

-- A checkpoint in the row of a flow; arrays of it sort by time.
CREATE TYPE _otel.checkpoint AS (
    time_unix_nano bigint,
    name text
);

-- One row per trace and UTC week in which it has spans. Nearly every flow has one row; `linked` marks those with more,
-- so that only flows that span several weeks cost a merge.
CREATE TABLE _otel.flow_parts (
    week timestamptz NOT NULL,
    trace_id uuid NOT NULL,
    start_time timestamptz NOT NULL,
    start_time_unix_nano bigint NOT NULL,
    end_time_unix_nano bigint NOT NULL,
    span_count bigint NOT NULL,
    error_count bigint NOT NULL,
    root_start_time_unix_nano bigint,   -- NULL: no root has ended in this part
    root_status_code integer,
    merges integer NOT NULL DEFAULT 0,  -- how often spans were added; 0 marks a new row
    linked boolean NOT NULL DEFAULT false,
    root_span_id bytea,
    root_name text,
    flow_name text,                     -- name set by the application, known before the root ends
    services text[] NOT NULL,           -- sorted, distinct
    checkpoints _otel.checkpoint[],     -- in order of time, the latest 256
    PRIMARY KEY (trace_id, week)
) PARTITION BY RANGE (week);
CREATE INDEX flow_parts_start_time ON _otel.flow_parts (start_time);
CREATE INDEX flow_parts_linked ON _otel.flow_parts (trace_id) WHERE linked;
CREATE INDEX flow_parts_trace_id_hex ON _otel.flow_parts USING brin (encode(uuid_send(trace_id), 'hex') text_bloom_ops)
    WITH (pages_per_range = 64, autosummarize = on);

-- Counts are separate for each writer (`slot`), so that receivers do not wait for each other's row locks.
CREATE TABLE _otel.span_stats (
    minute timestamptz NOT NULL,
    key uuid NOT NULL,                  -- hash of service, name and kind: a name may be too long for an index entry
    slot smallint NOT NULL,
    kind integer NOT NULL,
    count bigint NOT NULL,
    error_count bigint NOT NULL,
    duration_sum_ns double precision NOT NULL,
    duration_min_ns bigint NOT NULL,
    duration_max_ns bigint NOT NULL,
    service_name text NOT NULL,
    name text NOT NULL,
    latency_buckets smallint[] NOT NULL,  -- bucket b holds durations around 2^(b/4) ns: see _otel.latency_bucket
    latency_counts bigint[] NOT NULL,
    PRIMARY KEY (minute, key, slot)
) PARTITION BY RANGE (minute);
