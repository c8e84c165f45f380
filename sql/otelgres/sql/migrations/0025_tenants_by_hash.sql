-- By hash: a B-tree rejects rows with long values, and the name of a tenant may be long.
DROP INDEX _otel.resources_tenant;
CREATE INDEX resources_tenant ON _otel.resources USING hash (tenant) WHERE tenant IS NOT NULL;
