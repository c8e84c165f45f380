-- Those that were made once are brought to the present truth.
SELECT compat.make_logs_view(prefix) FROM _otel.logs_views ORDER BY prefix;
