CREATE OR REPLACE VIEW otel.subscriptions AS
SELECT s.source_system,
       s.channel,
       s.service_name,
       max(s.time) FILTER (WHERE s.state = 'subscription_active') AS active_since,
       max(s.time) FILTER (WHERE s.state = 'subscription_confirmed') AS confirmed_at,
       coalesce(max(s.time) FILTER (WHERE s.state = 'subscription_confirmed')
           >= max(s.time) FILTER (WHERE s.state = 'subscription_active'), false) AS confirmed
FROM (
    SELECT coalesce(l.attributes ->> 'source_system', r.service_name) AS source_system, r.service_name,
           l.attributes ->> 'channel' AS channel, l.attributes ->> 'event_type' AS state, l.time, l.tenant_id
    FROM _otel.logs l LEFT JOIN _otel.resources r ON r.id = l.resource_id
    WHERE l.event_name = 'otelgres.subscription' AND l.time > now() - interval '7 days'
) s
GROUP BY s.source_system, s.channel, s.service_name, s.tenant_id;

COMMENT ON VIEW otel.subscriptions IS 'Channel subscriptions of the last seven days.';
COMMENT ON COLUMN otel.subscriptions.source_system IS 'The subscriber: attribute source_system, else the service.';
COMMENT ON COLUMN otel.subscriptions.channel IS 'The channel.';
COMMENT ON COLUMN otel.subscriptions.service_name IS 'The service that reported it.';
COMMENT ON COLUMN otel.subscriptions.active_since IS 'When it last subscribed.';
COMMENT ON COLUMN otel.subscriptions.confirmed_at IS 'When the subscription was last confirmed.';
COMMENT ON COLUMN otel.subscriptions.confirmed IS 'Whether the latest subscription has been confirmed.';
