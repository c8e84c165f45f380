-- The shop's own counter: the latest value of each outcome.
SELECT n.outcome, n.value::bigint AS orders
FROM (
    SELECT DISTINCT ON (m.series_id) m.attributes ->> 'outcome' AS outcome, m.value
    FROM otel.metric_points m
    WHERE m.time >= %(since)s AND m.metric_name = 'shop.orders'
        AND m.resource_attributes ->> 'otelgres.demo.run' = %(run)s
    ORDER BY m.series_id, m.time DESC
) n
ORDER BY n.value DESC, n.outcome
