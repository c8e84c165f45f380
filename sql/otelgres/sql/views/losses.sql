CREATE OR REPLACE VIEW otel.losses AS
SELECT l.at, l.effect, l.source, l.signal, l.reason, l.count, l.detail, l.sample
FROM _otel.losses l;

COMMENT ON VIEW otel.losses IS 'The ledger: everything refused, dropped or repaired, counted. Empty is good news.';
COMMENT ON COLUMN otel.losses.at IS 'When it was entered.';
COMMENT ON COLUMN otel.losses.effect IS 'refused: the sender was told; dropped: gone; repaired: kept, in a form PostgreSQL can hold.';
COMMENT ON COLUMN otel.losses.source IS 'Which part of the receiver found it.';
COMMENT ON COLUMN otel.losses.signal IS 'traces, metrics or logs; or the table where no one signal is meant.';
COMMENT ON COLUMN otel.losses.reason IS 'A short fixed word, fit for GROUP BY.';
COMMENT ON COLUMN otel.losses.count IS 'How many items (for a malformed request: requests).';
COMMENT ON COLUMN otel.losses.detail IS 'What more is known.';
COMMENT ON COLUMN otel.losses.sample IS 'One of them, shortened.';
