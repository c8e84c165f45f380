SELECT e."timestamp" AS time, e.level, e.execution_id AS run, e.execution_phase AS phase, e.terminal_id AS terminal,
       e.error_details ->> 'type' AS error_type, left(e.message, 500) AS message,
       left(e.error_details ->> 'message', 500) AS error,
       concat_ws(':', concat_ws('.', e.module, e.function_name), e.line_number) AS logged_at
FROM compat.log_events e
WHERE e.level IN ('ERROR', 'CRITICAL') AND e."timestamp" >= %(since)s AND e."timestamp" < %(until)s
ORDER BY e."timestamp" DESC
LIMIT 50
