INSERT INTO _otel.losses (count, effect, source, signal, reason, detail, sample, tenant_id)
SELECT l.count, l.effect, l.source, l.signal, l.reason, l.detail, l.sample,
       coalesce(nullif(l.tenant_id, 0), t.id)
FROM unnest(
    %(count)s::bigint[], %(effect)s::text[], %(source)s::text[], %(signal)s::text[], %(reason)s::text[],
    %(detail)s::text[], %(sample)s::text[], %(tenant_id)s::integer[], %(tenant)s::text[]
) AS l (count, effect, source, signal, reason, detail, sample, tenant_id, tenant)
LEFT JOIN _otel.tenant_ids t
    ON t.hash = encode(substring(sha256(convert_to(l.tenant, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid
