-- Applies the current definition to the existing views.
SELECT compat.make_logs_view(prefix) FROM _otel.logs_views ORDER BY prefix;
