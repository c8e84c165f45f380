-- For polling the rows received since the last query, several times a second. Rows are stored in order of arrival, so
-- block range indexes are effective and cheap.
CREATE INDEX spans_received_at ON _otel.spans USING brin (received_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX logs_received_at ON _otel.logs USING brin (received_at) WITH (pages_per_range = 16, autosummarize = on);
