-- Writes the row of a receiver, and removes those of receivers that have not published for a week, or are beyond the
-- newest 1000. Names longer than 255 characters are cut, metrics of more than 1 MiB are refused, and those that the view
-- of receivers could not read: the alerts would fail for as long as the row is there.
CREATE OR REPLACE FUNCTION _otel.publish_receiver(
    p_id uuid, p_host text, p_pid integer, p_version text, p_started_at timestamptz, p_numbers jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF octet_length(p_numbers::text) > 1048576 THEN
        RAISE EXCEPTION 'the metrics of a receiver are larger than 1 MiB' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF (CASE jsonb_typeof(p_numbers) WHEN 'array' THEN EXISTS (
        SELECT FROM jsonb_array_elements(p_numbers) e
        WHERE (jsonb_typeof(e -> 0), jsonb_typeof(e -> 1)) IS DISTINCT FROM ('string', 'object')
            OR coalesce(jsonb_typeof(e -> 2), '') NOT IN ('number', 'null')
            OR NOT pg_input_is_valid(e ->> 2, 'double precision')
    ) ELSE true END) THEN
        RAISE EXCEPTION 'the metrics of a receiver are [[name, {label: text}, value], …]'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO _otel.receivers (id, host, pid, version, started_at, last_seen, numbers)
    VALUES (p_id, left(p_host, 255), p_pid, left(p_version, 255), greatest(least(p_started_at, now()), '1970-01-01 00:00:00+00'), now(), p_numbers)
    ON CONFLICT (id) DO UPDATE SET last_seen = excluded.last_seen, numbers = excluded.numbers;
    DELETE FROM _otel.receivers WHERE last_seen < now() - interval '7 days'
        OR id IN (SELECT id FROM _otel.receivers ORDER BY last_seen DESC, id OFFSET 1000);
END
$$;
