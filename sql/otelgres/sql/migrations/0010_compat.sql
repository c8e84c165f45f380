-- Relations with the names and columns of other logging systems, over the same telemetry. Domain-specific columns are
-- filled from attributes; the mapping is stored here, and the owner may change it.

CREATE SCHEMA compat;

COMMENT ON SCHEMA compat IS
    'Telemetry under the relation and column names of other logging systems. Put it on the search_path.';

-- The template of each relation; written by the files in sql/compat, read when a mapping changes.
CREATE TABLE _otel.mapped_views (
    relation name PRIMARY KEY,
    template text NOT NULL,
    columns jsonb NOT NULL              -- column -> {"attributes": [key, …], "type": text}
);

-- Columns added or changed by the owner of the database; kept by upgrades.
CREATE TABLE _otel.mapped_columns (
    relation name NOT NULL,
    name name NOT NULL,
    attribute text NOT NULL,
    type text NOT NULL,
    number integer GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (relation, name)
);
