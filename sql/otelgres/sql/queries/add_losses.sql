INSERT INTO _otel.losses (count, effect, source, signal, reason, detail, sample)
SELECT * FROM unnest(
    %(count)s::bigint[], %(effect)s::text[], %(source)s::text[], %(signal)s::text[], %(reason)s::text[],
    %(detail)s::text[], %(sample)s::text[])
