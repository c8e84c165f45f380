SELECT * FROM compat.daily_summary d
WHERE d.day >= (%(since)s::timestamptz AT TIME ZONE 'UTC')::date
    AND d.day <= (%(until)s::timestamptz AT TIME ZONE 'UTC')::date
ORDER BY d.day
