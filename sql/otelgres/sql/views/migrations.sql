CREATE OR REPLACE VIEW otel.migrations AS
SELECT m.name, m.checksum, m.applied_at FROM _otel.migrations m
UNION ALL
SELECT a.folder, a.checksum, a.applied_at FROM _otel.repeatable_migrations a;

COMMENT ON VIEW otel.migrations IS 'The applied version of the schema, for comparison with that of a program.';
COMMENT ON COLUMN otel.migrations.name IS
    'A migration, or "functions and views", which are applied again with each version.';
COMMENT ON COLUMN otel.migrations.checksum IS 'SHA-256 of what was applied, in hex.';
COMMENT ON COLUMN otel.migrations.applied_at IS 'When it was applied.';
