-- Services that sent in most of the hours of the day before, and have not for longer than half an hour.
SELECT h.service_name, max(h.minute) AS last, count(DISTINCT date_trunc('hour', h.minute)) AS hours
FROM otel.service_stats h
WHERE h.minute > now() - interval '24 hours'
GROUP BY h.service_name
HAVING max(h.minute) < now() - interval '30 minutes' AND count(DISTINCT date_trunc('hour', h.minute)) >= 12
ORDER BY 2
