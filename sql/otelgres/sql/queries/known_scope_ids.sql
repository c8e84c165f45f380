SELECT hash FROM _otel.scopes WHERE hash = ANY (%(hash)s)
