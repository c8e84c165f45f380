SELECT flow_id, name, flow_name, start_time, end_time, duration_ms, span_count, error_count, services, checkpoint_path,
       last_checkpoint, last_checkpoint_time, complete, status
FROM otel.flows
WHERE flow_id = %(flow)s
