-- By hash: a B-tree refuses rows whose value is too long for it, and a tenant's name is anybody's.
DROP INDEX _otel.resources_tenant;
CREATE INDEX resources_tenant ON _otel.resources USING hash (tenant) WHERE tenant IS NOT NULL;
