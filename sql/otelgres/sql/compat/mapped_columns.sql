CREATE OR REPLACE VIEW compat.mapped_columns AS
SELECT v.relation::text AS relation,
       coalesce(b.key, m.name::text) AS column_name,
       CASE WHEN m.name IS NULL THEN '{}' ELSE ARRAY[m.attribute] END
           || ARRAY(SELECT jsonb_array_elements_text(b.value -> 'attributes')) AS attributes,
       coalesce(b.value ->> 'type', m.type) AS type,
       m.name IS NOT NULL AS changed
FROM _otel.mapped_views v
CROSS JOIN LATERAL jsonb_each(v.columns) b
FULL JOIN _otel.mapped_columns m ON m.relation = v.relation AND m.name = b.key
WHERE v.relation IS NOT NULL
UNION ALL
SELECT m.relation, m.name, ARRAY[m.attribute], m.type, true
FROM _otel.mapped_columns m
WHERE NOT EXISTS (
    SELECT FROM _otel.mapped_views v WHERE v.relation = m.relation AND v.columns ? m.name::text
);

COMMENT ON VIEW compat.mapped_columns IS 'Which attributes fill which column of which relation. Change it by compat.map_column.';
COMMENT ON COLUMN compat.mapped_columns.relation IS 'The relation of schema compat.';
COMMENT ON COLUMN compat.mapped_columns.column_name IS 'Its column.';
COMMENT ON COLUMN compat.mapped_columns.attributes IS 'Attribute keys; the first that a record has fills the column. `resource:` before a key: of the resource.';
COMMENT ON COLUMN compat.mapped_columns.type IS 'Type of the column. A value that is not of this type reads as NULL.';
COMMENT ON COLUMN compat.mapped_columns.changed IS 'Whether it was added or changed here by compat.map_column.';
