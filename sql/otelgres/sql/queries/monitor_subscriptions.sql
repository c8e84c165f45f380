SELECT source_system, channel, confirmed, confirmed_at FROM otel.subscriptions ORDER BY confirmed, source_system, channel LIMIT 12
