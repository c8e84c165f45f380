SELECT digest FROM _otel.digests WHERE digest = ANY (%(digests)s) AND day >= (now() AT TIME ZONE 'UTC')::date - 2
