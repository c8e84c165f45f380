-- Hours whose minutes are to be asked, because what was added up of them is not the whole truth.
CREATE OR REPLACE VIEW _otel.hours_left AS
SELECT c.hour FROM _otel.changed_hours c UNION SELECT w.hour FROM _otel.hours_in_work w;
