-- Records that say which experiment they belong to (attribute experiment_id, a uuid). The expression stands in relations
-- of schema compat, word for word. Looking for the attribute costs 0.1 to 0.3 µs a record that has none, of 9 µs that
-- storing it takes; a record that has one pays 4 µs more.
CREATE INDEX logs_experiments ON _otel.logs (
    (CASE WHEN attributes ->> 'experiment_id' ~ '^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$'
          THEN (attributes ->> 'experiment_id')::uuid END), time)
    WHERE attributes ? 'experiment_id';

-- What a pipeline has said of its progress and of itself, without its log lines.
CREATE INDEX logs_experiment_events ON _otel.logs (
    (CASE WHEN attributes ->> 'experiment_id' ~ '^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$'
          THEN (attributes ->> 'experiment_id')::uuid END), time)
    WHERE event_name IN ('otelgres.progress', 'otelgres.pipeline') AND attributes ? 'experiment_id';

-- What began in experiments, to be asked which of it has not ended.
CREATE INDEX logs_experiment_starts ON _otel.logs (time)
    WHERE event_name = 'otelgres.span.start' AND attributes ? 'experiment_id';

CREATE INDEX series_experiments ON _otel.series (
    (CASE WHEN attributes ->> 'experiment_id' ~ '^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$'
          THEN (attributes ->> 'experiment_id')::uuid END))
    WHERE attributes ? 'experiment_id';

-- How far something says it is: in percent, or in units done.
CREATE TYPE _otel.progress_value AS (
    percent double precision,
    done double precision
);
