SELECT missing, likely_cause FROM otel.incomplete_flows WHERE flow_id = %(flow)s
