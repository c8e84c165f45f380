SELECT hash FROM _otel.resources WHERE hash = ANY (%(hash)s)
