-- The ids of tenants by the hash of their name; new rows are inserted. Each hash must occur once.
WITH given AS (
    SELECT * FROM unnest(%(hash)s::uuid[], %(name)s::text[]) AS g (hash, name)
), added AS (
    INSERT INTO _otel.tenant_ids (hash, name)
    SELECT hash, name FROM given g
    WHERE NOT EXISTS (SELECT FROM _otel.tenant_ids t WHERE t.hash = g.hash)
    ORDER BY hash
    ON CONFLICT (hash) DO NOTHING
    RETURNING id, hash
)
SELECT g.hash, coalesce(t.id, a.id) AS id
FROM given g LEFT JOIN _otel.tenant_ids t USING (hash) LEFT JOIN added a USING (hash)
