"""The session in which a writer stores: its settings, and that its login is no superuser."""

from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from otelgres.sql.logins import refuse_superuser

_SESSION: Final = {
    "application_name": "otelgres writer",
    "connect_timeout": "5",
    # A server that disappears must be detected by TCP before clients time out.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
# Set after connecting. With synchronous_commit off, acknowledged data could be lost. The encoding of the rows is UTF-8,
# whatever PGCLIENTENCODING or the database says. The timeouts limit what one stuck transaction can block.
_SETTINGS: Final = """
SELECT set_config('lock_timeout', '10s', false), set_config('statement_timeout', '60s', false),
       set_config('idle_in_transaction_session_timeout', '60s', false), set_config('timezone', 'UTC', false),
       set_config('client_encoding', 'UTF8', false),
       CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
            THEN set_config('synchronous_commit', 'on', false) END
"""


def connect(dsn: str) -> psycopg.Connection[Any]:
    """A connection in autocommit mode. Raises psycopg.Error, LoginRefused for a superuser."""
    given = conninfo_to_dict(dsn)
    missing_settings = {name: value for name, value in _SESSION.items() if name not in given}
    connection = psycopg.connect(make_conninfo(dsn, **missing_settings), autocommit=True)
    try:
        # Each time: it may be another server than before. It must come first, since a superuser's session would run
        # what others have attached to the objects that it uses.
        refuse_superuser(connection)
        connection.execute(_SETTINGS)
    except psycopg.Error:
        connection.close()
        raise
    return connection
