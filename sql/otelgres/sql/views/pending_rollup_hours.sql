-- Hours whose minutes are to be asked, because what was added up of them is not the whole truth.
CREATE OR REPLACE VIEW _otel.pending_rollup_hours AS
SELECT c.hour FROM _otel.rollup_hours_changed c UNION SELECT w.hour FROM _otel.rollup_hours_in_progress w;
