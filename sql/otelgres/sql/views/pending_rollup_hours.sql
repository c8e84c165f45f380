-- Hours whose roll-up is missing or outdated: their minutes must be read instead.
CREATE OR REPLACE VIEW _otel.pending_rollup_hours AS
SELECT c.hour FROM _otel.rollup_hours_changed c UNION SELECT w.hour FROM _otel.rollup_hours_in_progress w;
