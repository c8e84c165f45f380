SELECT current_user AS role, r.rolsuper AS superuser,
       inet_server_addr() IS NOT NULL AND host(inet_server_addr()) NOT IN ('127.0.0.1', '::1') AS remote,
       has_schema_privilege('otel', 'USAGE') AND has_table_privilege('otel.spans', 'SELECT') AS reads
FROM pg_roles r
WHERE r.rolname = current_user
