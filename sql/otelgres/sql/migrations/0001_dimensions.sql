-- Resources, scopes, metrics and series: stored once, identified by the hash of their content.

CREATE SCHEMA IF NOT EXISTS _otel;  -- the migrator stores its tables there before
CREATE SCHEMA otel;

COMMENT ON SCHEMA _otel IS 'Private tables of otelgres. Not an interface: use schema otel.';
COMMENT ON SCHEMA otel IS 'Telemetry for reading: views and functions over data received by OTLP.';

-- Identifies this database.
CREATE TABLE _otel.identity (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO _otel.identity DEFAULT VALUES;

CREATE TABLE _otel.resources (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash uuid NOT NULL UNIQUE,
    service_name text NOT NULL,         -- unknown_service if the resource has none
    service_namespace text,
    service_instance_id text,
    attributes jsonb NOT NULL,
    dropped_attributes_count bigint NOT NULL,
    entity_refs jsonb,
    schema_url text NOT NULL,
    repaired jsonb,
    first_seen timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE _otel.scopes (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash uuid NOT NULL UNIQUE,
    name text NOT NULL,
    version text NOT NULL,
    attributes jsonb NOT NULL,
    dropped_attributes_count bigint NOT NULL,
    schema_url text NOT NULL,
    repaired jsonb,
    first_seen timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE _otel.metrics (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash uuid NOT NULL UNIQUE,
    name text NOT NULL,
    description text NOT NULL,
    unit text NOT NULL,
    type smallint NOT NULL,          -- field number of the data in opentelemetry.proto.metrics.v1.Metric
    temporality integer,             -- NULL if the type has none
    is_monotonic boolean,            -- NULL if the type has none
    metadata jsonb NOT NULL,
    repaired jsonb,
    first_seen timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE _otel.series (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash uuid NOT NULL UNIQUE,
    metric_id integer NOT NULL,
    resource_id integer NOT NULL,
    scope_id integer NOT NULL,
    attributes jsonb NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX series_metric_id ON _otel.series (metric_id);
