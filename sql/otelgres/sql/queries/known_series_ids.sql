SELECT hash FROM _otel.series WHERE hash = ANY (%(hash)s)
