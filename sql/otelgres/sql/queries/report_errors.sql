-- The latest message of each group by a text that sorts by time: collecting all messages of a group could fill the
-- memory.
SELECT coalesce(e.error_details ->> 'type', 'logged by ' || e.logger_name) AS error_type,
       e.execution_phase AS phase,
       e.terminal_id AS terminal,
       count(*) AS count,
       count(DISTINCT e.execution_id) AS runs,
       min(e."timestamp") AS first_seen,
       max(e."timestamp") AS last_seen,
       substr(max(to_char(e."timestamp", 'YYYYMMDDHH24MISSUS')
                  || left(coalesce(e.message || ': ' || (e.error_details ->> 'message'), e.message), 500)), 21) AS newest,
       substr(max(to_char(e."timestamp", 'YYYYMMDDHH24MISSUS') || e.execution_id::text), 21)::uuid AS newest_run
FROM compat.log_events e
WHERE e.level IN ('ERROR', 'CRITICAL') AND e."timestamp" >= %(since)s AND e."timestamp" < %(until)s
GROUP BY 1, 2, 3
ORDER BY count DESC, last_seen DESC
