SELECT flow_id FROM otel.flows WHERE start_time > now() - interval '30 days' ORDER BY start_time DESC LIMIT 1
