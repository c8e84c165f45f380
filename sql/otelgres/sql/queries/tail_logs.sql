SELECT * FROM otel.tail_logs(
    %(seen)s::pg_snapshot, %(since)s, %(service)s, %(least_severity)s, %(contains)s, %(flow)s)
