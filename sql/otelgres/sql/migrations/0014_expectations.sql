-- Which checkpoints a flow of a name is expected to pass, and what it most likely means if one is missing. Told by the
-- owner here, or by the application with the flow itself (attribute otelgres.expected.checkpoints), which wins.
CREATE TABLE _otel.flow_expectations (
    flow_name text PRIMARY KEY,
    checkpoints text[] NOT NULL,
    causes jsonb NOT NULL DEFAULT '{}'   -- checkpoint -> the likely cause if it is missing
);
