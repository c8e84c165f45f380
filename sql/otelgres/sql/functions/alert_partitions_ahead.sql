CREATE OR REPLACE FUNCTION otel.alert_partitions_ahead()
RETURNS TABLE (
    rule text, subject text, severity text, value double precision, threshold double precision, firing boolean,
    summary text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'partitions_ahead', p.table_name, a.severity, p.days_ahead::double precision, a.threshold,
           p.days_ahead < a.threshold, format('%s has partitions for %s more days', p.table_name, p.days_ahead)
    FROM otel.partitions p
    CROSS JOIN LATERAL otel.alert_rule('partitions_ahead', p.table_name) a
    WHERE p.made_ahead AND p.days_ahead IS NOT NULL;
END
$$;
COMMENT ON FUNCTION otel.alert_partitions_ahead() IS
    'Tables that are running out of partitions: value is the number of days after today that have one. Fires below '
    'the threshold.';
