CREATE OR REPLACE VIEW otel.losses AS
SELECT l.at, l.effect, l.source, l.signal, l.reason, l.count, l.detail, l.sample, t.name AS tenant
FROM _otel.losses l LEFT JOIN _otel.tenant_ids t ON t.id = l.tenant_id;

COMMENT ON VIEW otel.losses IS 'Counts of everything refused, dropped or repaired.';
COMMENT ON COLUMN otel.losses.at IS 'When it was recorded.';
COMMENT ON COLUMN otel.losses.effect IS
    'refused: the sender was told; dropped: lost; repaired: stored in a form that PostgreSQL can represent.';
COMMENT ON COLUMN otel.losses.source IS 'The part of the receiver that recorded it.';
COMMENT ON COLUMN otel.losses.signal IS 'traces, metrics or logs; or a table name if it concerns several signals.';
COMMENT ON COLUMN otel.losses.reason IS 'Short constant text, suitable for GROUP BY.';
COMMENT ON COLUMN otel.losses.count IS 'Number of items (of requests, for malformed requests).';
COMMENT ON COLUMN otel.losses.detail IS 'Further details.';
COMMENT ON COLUMN otel.losses.sample IS 'An example, truncated.';
COMMENT ON COLUMN otel.losses.tenant IS 'The tenant whose data it was; NULL: none, or not known.';
