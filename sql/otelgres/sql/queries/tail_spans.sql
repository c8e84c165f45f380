SELECT * FROM otel.tail_spans(
    %(seen)s::pg_snapshot, %(since)s, %(service)s, %(errors_only)s, %(contains)s, %(flow)s, false)
