-- Spans that seem to be received before their end have a clock that is ahead. A clock that is behind cannot be
-- distinguished from slow delivery, so only a large difference is reported.
SELECT s.service_name, count(*) AS count,
       max(extract(epoch FROM s.end_time - s.received_at))::double precision AS ahead,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM s.received_at - s.end_time))::double precision AS behind
FROM otel.spans s
WHERE s.start_time > now() - interval '30 minutes' AND s.start_time < now() + interval '1 day'
  AND s.received_at > now() - interval '30 minutes'
GROUP BY s.service_name
