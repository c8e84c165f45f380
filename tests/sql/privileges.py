"""The rights on everything in our schemas as text; ``python -m tests.sql.privileges`` writes privileges.txt."""

from pathlib import Path

import psycopg

from otelgres.sql.migrate import migrate
from tests import postgres
from tests.sql.rows import Connection

FILE = Path(__file__).with_name("privileges.txt")

_HEADER = """\
# Who may do what in the schemas of otelgres; "owner" is the owner of the object, and of all others. Written by
# `.venv/bin/python -m tests.sql.privileges`; tests/sql/test_privileges.py compares it with a database.
"""
# A grantee that owns the object is left out; PUBLIC is 0.
_GRANTS = """
coalesce((
    SELECT string_agg(format('%s: %s', grantee, privileges), '; ' ORDER BY grantee)
    FROM (
        SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END AS grantee,
               string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type) AS privileges
        FROM aclexplode(coalesce({acl}, acldefault({kind}, {owner}))) g
        WHERE g.grantee <> {owner}
        GROUP BY 1
    ) g), 'nobody')
"""
_OURS = "IN (SELECT oid FROM pg_namespace WHERE nspname IN ('_otel', 'otel', 'compat', 'otel_tenant'))"

_RELATION = """(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char\""""


def _grants(acl: str, kind: str, owner: str) -> str:
    return _GRANTS.format(acl=acl, kind=kind, owner=owner)


_SECTIONS = {
    "schemas": f"""
        SELECT n.nspname, {_grants("n.nspacl", "'n'", "n.nspowner")}
        FROM pg_namespace n WHERE n.oid {_OURS}""",
    "routines that run with the rights of their owner": f"""
        SELECT format('%s %s', p.oid::regprocedure, p.proconfig), {_grants("p.proacl", "'f'", "p.proowner")}
        FROM pg_proc p WHERE p.pronamespace {_OURS} AND p.prosecdef""",
    "routines that run with the rights of their caller": f"""
        SELECT format('%s %s', p.oid::regprocedure, p.proconfig), {_grants("p.proacl", "'f'", "p.proowner")}
        FROM pg_proc p WHERE p.pronamespace {_OURS} AND NOT p.prosecdef""",
    "tables, views and sequences": f"""
        SELECT c.oid::regclass::text, {_grants("c.relacl", _RELATION, "c.relowner")}
        FROM pg_class c WHERE c.relnamespace {_OURS} AND c.relkind NOT IN ('i', 'I', 'c') AND NOT c.relispartition""",
    "columns": f"""
        SELECT format('%s.%I', c.oid::regclass, a.attname), {_grants("a.attacl", "'c'", "c.relowner")}
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace {_OURS} AND a.attacl IS NOT NULL""",
    "types that anybody may use": f"""
        SELECT t.oid::regtype::text, {_grants("t.typacl", "'T'", "t.typowner")}
        FROM pg_type t WHERE t.typnamespace {_OURS} AND t.typelem = 0
            AND EXISTS (SELECT FROM aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) g
                        WHERE g.grantee <> t.typowner)""",
    "objects that the owner creates later": f"""
        SELECT format('%s in %s', d.defaclobjtype, d.defaclnamespace::regnamespace),
               {_grants("d.defaclacl", "d.defaclobjtype", "d.defaclrole")}
        FROM pg_default_acl d WHERE d.defaclnamespace {_OURS}""",
}  # fmt: skip


def table(connection: Connection) -> str:
    """The text of the file for a database: a section for each kind of object, a line for each object."""
    text = _HEADER
    # Names are written with their schema.
    connection.execute("SET search_path = pg_catalog")
    for title, statement in _SECTIONS.items():
        found = connection.execute(f"{statement} ORDER BY 1".encode()).fetchall()
        text += f"\n# {title}\n" + "".join(f"{name}  {grants}\n" for name, grants in sorted(found))
    connection.execute("RESET search_path")
    return text


def owners(connection: Connection) -> set[str]:
    """The owners of everything in our schemas."""
    return {
        row[0]
        for row in connection.execute(
            f"SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace {_OURS} "
            f"UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace {_OURS} "
            f"UNION SELECT pg_get_userbyid(typowner) FROM pg_type WHERE typnamespace {_OURS} "
            f"UNION SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE oid {_OURS}".encode()
        )
    }


if __name__ == "__main__":
    with postgres.fast_cluster(postgres.version(None)) as cluster:
        dsn = postgres.create_database(cluster, "privileges")
        migrate(dsn)
        with psycopg.connect(dsn) as opened:
            FILE.write_text(table(opened), encoding="utf-8")
