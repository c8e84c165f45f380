-- The ids of metrics by content hash, in the order given; new rows are inserted. Each hash must occur once.
WITH given AS (
    SELECT * FROM unnest(
        %(hash)s::uuid[], %(name)s::text[], %(description)s::text[], %(unit)s::text[], %(type)s::smallint[],
        %(temporality)s::integer[], %(is_monotonic)s::boolean[], %(metadata)s::jsonb[], %(repaired)s::jsonb[]
    ) WITH ORDINALITY AS g (hash, name, description, unit, type, temporality, is_monotonic, metadata, repaired, position)
), added AS (
    INSERT INTO _otel.metrics (hash, name, description, unit, type, temporality, is_monotonic, metadata, repaired)
    SELECT hash, name, description, unit, type, temporality, is_monotonic, metadata, repaired
    FROM given g
    WHERE NOT EXISTS (SELECT FROM _otel.metrics r WHERE r.hash = g.hash)
    ORDER BY hash
    ON CONFLICT (hash) DO NOTHING
    RETURNING id, hash
)
SELECT g.hash, coalesce(r.id, a.id) AS id
FROM given g LEFT JOIN _otel.metrics r USING (hash) LEFT JOIN added a USING (hash)
ORDER BY g.position
