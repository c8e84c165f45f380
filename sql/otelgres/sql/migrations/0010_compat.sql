-- Relations of other logging systems, with their names and columns, over the same telemetry. What a domain calls its
-- fields comes from attributes: which attribute fills which column stands here, and its owner may change it.

CREATE SCHEMA compat;

COMMENT ON SCHEMA compat IS
    'Telemetry under the relation and column names of other logging systems. Put it on the search_path.';

-- How each relation is made; written by the files in sql/compat, read when a mapping changes.
CREATE TABLE _otel.mapped_views (
    relation name PRIMARY KEY,
    template text NOT NULL,
    columns jsonb NOT NULL              -- column -> {"attributes": [key, …], "type": text}
);

-- What the owner of the database added or changed: survives every upgrade.
CREATE TABLE _otel.mapped_columns (
    relation name NOT NULL,
    name name NOT NULL,
    attribute text NOT NULL,
    type text NOT NULL,
    number integer GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (relation, name)
);
