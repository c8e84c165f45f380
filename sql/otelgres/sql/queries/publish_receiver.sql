SELECT _otel.publish_receiver(%(id)s, %(host)s, %(pid)s, %(version)s, %(started_at)s, %(numbers)s::jsonb)
