SELECT count(*) AS runs, count(*) FILTER (WHERE s.success) AS succeeded,
       count(*) FILTER (WHERE NOT s.success AND s.state <> 'abandoned') AS failed,
       count(*) FILTER (WHERE s.state = 'abandoned') AS abandoned,
       count(*) FILTER (WHERE s.success IS NULL) AS at_work,
       count(*) FILTER (WHERE s.failover_activated) AS failovers,
       (SELECT coalesce(sum(l.count), 0) FROM otel.losses l
        WHERE l.at >= %(since)s AND l.at < %(until)s AND l.effect = 'dropped') AS items_dropped,
       (SELECT coalesce(sum(l.count), 0) FROM otel.losses l
        WHERE l.at >= %(since)s AND l.at < %(until)s AND l.effect = 'refused') AS items_refused
FROM compat.execution_summary s
WHERE s.start_time >= %(since)s AND s.start_time < %(until)s
