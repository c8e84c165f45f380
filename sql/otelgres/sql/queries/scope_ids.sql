-- The ids of scopes by content hash, in the order given; new rows are inserted. Each hash must occur once.
WITH given AS (
    SELECT * FROM unnest(
        %(hash)s::uuid[], %(name)s::text[], %(version)s::text[], %(attributes)s::jsonb[],
        %(dropped_attributes_count)s::bigint[], %(schema_url)s::text[], %(repaired)s::jsonb[]
    ) WITH ORDINALITY AS g (hash, name, version, attributes, dropped_attributes_count, schema_url, repaired, position)
), added AS (
    INSERT INTO _otel.scopes (hash, name, version, attributes, dropped_attributes_count, schema_url, repaired)
    SELECT hash, name, version, attributes, dropped_attributes_count, schema_url, repaired
    FROM given g
    WHERE NOT EXISTS (SELECT FROM _otel.scopes r WHERE r.hash = g.hash)
    ORDER BY hash
    ON CONFLICT (hash) DO NOTHING
    RETURNING id, hash
)
SELECT g.hash, coalesce(r.id, a.id) AS id
FROM given g LEFT JOIN _otel.scopes r USING (hash) LEFT JOIN added a USING (hash)
ORDER BY g.position
