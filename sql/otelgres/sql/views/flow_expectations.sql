CREATE OR REPLACE VIEW otel.flow_expectations AS
SELECT e.flow_name, e.checkpoints, e.causes FROM _otel.flow_expectations e;
COMMENT ON VIEW otel.flow_expectations IS
    'Checkpoints that flows are expected to pass. The owner may insert, update and delete here.';
COMMENT ON COLUMN otel.flow_expectations.flow_name IS 'Name of the flow.';
COMMENT ON COLUMN otel.flow_expectations.checkpoints IS 'Expected checkpoints, in order.';
COMMENT ON COLUMN otel.flow_expectations.causes IS 'Object: checkpoint to the likely cause if it is missing.';
