-- What a writer may not insert: the tenant 0, with whose id the rows of no tenant could be read, a second row of a name,
-- and losses that make a sum smaller.
ALTER TABLE _otel.tenant_ids
    ADD CHECK (id > 0),
    ADD CHECK (hash = encode(substring(sha256(convert_to(name, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid);
ALTER TABLE _otel.losses ADD CHECK (count >= 0);
