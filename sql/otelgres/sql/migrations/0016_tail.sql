-- "What has arrived since I looked last", asked some times a second. Rows lie in the order in which they arrived, so block
-- ranges find it for next to nothing.
CREATE INDEX spans_received_at ON _otel.spans USING brin (received_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX logs_received_at ON _otel.logs USING brin (received_at) WITH (pages_per_range = 16, autosummarize = on);
