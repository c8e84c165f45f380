SELECT hash FROM _otel.metrics WHERE hash = ANY (%(hash)s)
