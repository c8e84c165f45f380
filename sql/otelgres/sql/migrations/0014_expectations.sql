-- Checkpoints that a flow is expected to pass, by flow name, and the likely cause if one is missing. Set by the owner
-- here, or by the application (attribute otelgres.expected.checkpoints), which takes precedence.
CREATE TABLE _otel.flow_expectations (
    flow_name text PRIMARY KEY,
    checkpoints text[] NOT NULL,
    causes jsonb NOT NULL DEFAULT '{}'   -- checkpoint -> the likely cause if it is missing
);
