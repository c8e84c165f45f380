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

COMMENT ON VIEW compat.mapped_columns IS
    'The attributes that fill each mapped column. Change them with compat.map_column.';
COMMENT ON COLUMN compat.mapped_columns.relation IS 'The relation of schema compat.';
COMMENT ON COLUMN compat.mapped_columns.column_name IS 'Its column.';
COMMENT ON COLUMN compat.mapped_columns.attributes IS
    'Attribute keys; the first one present in a record is used. `resource:` before a key: of the resource.';
COMMENT ON COLUMN compat.mapped_columns.type IS 'Type of the column. A value that is not of this type is NULL.';
COMMENT ON COLUMN compat.mapped_columns.changed IS 'Whether it was added or changed by compat.map_column.';
