-- The ids of resources by content hash, in the order given; new rows are inserted. Each hash must occur once.
WITH given AS (
    SELECT * FROM unnest(
        %(hash)s::uuid[], %(service_name)s::text[], %(service_namespace)s::text[], %(service_instance_id)s::text[],
        %(attributes)s::jsonb[], %(dropped_attributes_count)s::bigint[], %(entity_refs)s::jsonb[], %(schema_url)s::text[],
        %(repaired)s::jsonb[], %(tenant)s::text[]
    ) WITH ORDINALITY AS g (hash, service_name, service_namespace, service_instance_id, attributes,
                            dropped_attributes_count, entity_refs, schema_url, repaired, tenant, position)
), added AS (
    INSERT INTO _otel.resources (hash, service_name, service_namespace, service_instance_id, attributes,
                                 dropped_attributes_count, entity_refs, schema_url, repaired, tenant_id)
    SELECT hash, service_name, service_namespace, service_instance_id, attributes, dropped_attributes_count, entity_refs,
           schema_url, repaired, coalesce((
               SELECT t.id FROM _otel.tenant_ids t
               WHERE t.hash = encode(substring(sha256(convert_to(nullif(g.tenant, ''), 'UTF8')) FROM 1 FOR 16), 'hex')::uuid
           ), 0)
    FROM given g
    WHERE NOT EXISTS (SELECT FROM _otel.resources r WHERE r.hash = g.hash)
    ORDER BY hash
    ON CONFLICT (hash) DO NOTHING
    RETURNING id, hash
)
SELECT g.hash, coalesce(r.id, a.id) AS id
FROM given g LEFT JOIN _otel.resources r USING (hash) LEFT JOIN added a USING (hash)
ORDER BY g.position
