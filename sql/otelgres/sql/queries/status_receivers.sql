SELECT host, pid::text AS pid, version, bool_or(alive) AS alive, (extract(epoch FROM now() - max(last_seen)))::integer AS seconds_ago,
       coalesce(sum(value) FILTER (WHERE name LIKE 'otelcol_exporter_sent_%'), 0)::bigint AS items_stored,
       coalesce(sum(value) FILTER (WHERE name = 'otelcol_receiver_requests'), 0)::bigint AS requests,
       coalesce(sum(value) FILTER (WHERE name = 'otelcol_receiver_requests'
           AND labels ->> 'outcome' <> 'success'), 0)::bigint AS refused,
       coalesce(sum(value) FILTER (WHERE name = 'otelgres_commit_retries_total'), 0)::bigint AS retries,
       round((sum(value) FILTER (WHERE name = 'otelgres_commit_requests_total')
           / nullif(sum(value) FILTER (WHERE name = 'otelgres_commit_seconds_count'), 0))::numeric, 1)::text AS batch_requests,
       coalesce(sum(value) FILTER (WHERE name = 'otelcol_exporter_queue_size'), 0)::bigint AS queue_bytes,
       coalesce(sum(value) FILTER (WHERE name = 'otelgres_spool_bytes'), 0)::bigint AS spool_bytes,
       round(coalesce(max(value) FILTER (WHERE name = 'otelgres_spool_age_seconds'), 0)::numeric, 1)::text AS spool_age_s,
       round((1000 * sum(value) FILTER (WHERE name = 'otelgres_commit_seconds_sum')
           / nullif(sum(value) FILTER (WHERE name = 'otelgres_commit_seconds_count'), 0))::numeric, 1)::text AS commit_ms
FROM otel.receivers
WHERE last_seen > now() - interval '1 day'
GROUP BY receiver_id, host, pid, version
ORDER BY bool_or(alive) DESC, max(last_seen) DESC
LIMIT 20
