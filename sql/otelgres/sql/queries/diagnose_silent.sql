-- Services that sent data in most hours of the last day, but none for more than half an hour.
SELECT h.service_name, max(h.minute) AS last, count(DISTINCT date_trunc('hour', h.minute)) AS hours
FROM otel.service_stats h
WHERE h.minute > now() - interval '24 hours'
GROUP BY h.service_name
HAVING max(h.minute) < now() - interval '30 minutes' AND count(DISTINCT date_trunc('hour', h.minute)) >= 12
ORDER BY 2
