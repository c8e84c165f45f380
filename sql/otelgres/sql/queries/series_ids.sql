-- The ids of series by content hash, in the order given; new rows are inserted. Each hash must occur once.
WITH given AS (
    SELECT * FROM unnest(
        %(hash)s::uuid[], %(metric_id)s::integer[], %(resource_id)s::integer[], %(scope_id)s::integer[],
        %(attributes)s::jsonb[]
    ) WITH ORDINALITY AS g (hash, metric_id, resource_id, scope_id, attributes, position)
), added AS (
    INSERT INTO _otel.series (hash, metric_id, resource_id, scope_id, attributes)
    SELECT hash, metric_id, resource_id, scope_id, attributes
    FROM given g
    WHERE NOT EXISTS (SELECT FROM _otel.series r WHERE r.hash = g.hash)
    ORDER BY hash
    ON CONFLICT (hash) DO NOTHING
    RETURNING id, hash
)
SELECT g.hash, coalesce(r.id, a.id) AS id
FROM given g LEFT JOIN _otel.series r USING (hash) LEFT JOIN added a USING (hash)
ORDER BY g.position
