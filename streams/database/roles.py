"""The roles of the ledger's PostgreSQL, and what each may do; as statements, so that an operator can read them first.

    m1cep_owner         makes and changes tables (migrations); nothing runs with it
    m1cep_ledger        writes what the tables' grants permit
    m1cep_risk          reads, on replicas only: ``pg_hba.conf`` of the primary keeps it out, and the grants would too
    m1cep_replication   replicas

Grants are the guard, not ``default_transaction_read_only``, which the role itself can turn off. What PostgreSQL lets everybody
do in a database is taken away from everybody: temporary tables, large objects, messages in the WAL.
"""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import psycopg

DATABASE = "m1cep"
OWNER, LEDGER, RISK, REPLICATION = "m1cep_owner", "m1cep_ledger", "m1cep_risk", "m1cep_replication"
ROLES = (OWNER, LEDGER, RISK, REPLICATION)

_HARMLESS = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT"
#: Of every database of the server: nobody but the roles below has anything to do there.
_SERVER = (
    "REVOKE ALL ON DATABASE postgres FROM PUBLIC",
    "REVOKE ALL ON DATABASE template1 FROM PUBLIC",
    f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
    f"GRANT CONNECT ON DATABASE {DATABASE} TO {OWNER}, {LEDGER}, {RISK}",
    f"GRANT CREATE ON DATABASE {DATABASE} TO {OWNER}",
    # Whatever else the server's settings are: acknowledged is on the disk, and on the synchronous replica's where there is one.
    f"ALTER ROLE {LEDGER} SET synchronous_commit = 'on'",
    # Not a guard: it tells a program of ours that tries to write what it did wrong before the grants do.
    f"ALTER ROLE {RISK} SET default_transaction_read_only = on",
)
#: In the ledger's database. What takes part in a function's name is looked up: versions differ in their large-object functions.
_INSIDE = (
    "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    f"GRANT USAGE, CREATE ON SCHEMA public TO {OWNER}",
    """
    DO $$
    DECLARE writes regprocedure;
    BEGIN
        FOR writes IN
            SELECT oid::regprocedure FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace
              AND (proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put', 'lo_open', 'lo_unlink', 'lo_truncate',
                               'lo_truncate64', 'lowrite', 'pg_logical_emit_message'))
        LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', writes);
        END LOOP;
        FOR writes IN SELECT oid::regprocedure FROM pg_proc WHERE proname = 'pg_logical_emit_message' LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO m1cep_ledger', writes);
        END LOOP;
    END $$
    """,
)


def script() -> str:
    """The same for ``psql`` of an operator, who then gives each role its password."""
    missing = "SELECT 'CREATE {0} {1}' WHERE NOT EXISTS (SELECT FROM {2} WHERE {3} = '{1}') \\gexec"
    made = [missing.format("ROLE", name, "pg_roles", "rolname") for name in ROLES]
    roles = [f"ALTER ROLE {name} LOGIN {_kind(name)} {_HARMLESS};" for name in ROLES]
    database = missing.format("DATABASE", DATABASE, "pg_database", "datname")
    server, inside = (";\n".join(dedent(text).strip() for text in part) + ";" for part in (_SERVER, _INSIDE))
    return "\n".join((*made, *roles, database, server, f"\\connect {DATABASE}", inside, ""))


def make_roles(admin: psycopg.Connection[tuple[object, ...]], passwords: Mapping[str, str]) -> None:
    """Make the roles and the database, or bring those that are there up to date.

    Args:
        admin: a superuser's connection to the primary, in autocommit, to any database but the ledger's.
        passwords: by role; what is missing keeps its password, or has none.
    """
    have = {str(name) for (name,) in admin.execute("SELECT rolname FROM pg_roles").fetchall()}
    for statement in _role_statements(admin, have, passwords):
        admin.execute(statement)
    if admin.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
        admin.execute(f"CREATE DATABASE {DATABASE}")
    for text in _SERVER:
        admin.execute(text)


def make_grants(inside: psycopg.Connection[tuple[object, ...]]) -> None:
    """Take away what everybody may do in the ledger's database; ``inside`` is a superuser's connection to it."""
    for text in _INSIDE:
        inside.execute(text)


def _role_statements(
    admin: psycopg.Connection[tuple[object, ...]], have: set[str], passwords: Mapping[str, str]
) -> Iterator[sql.Composed]:
    for name in ROLES:
        verb = "ALTER" if name in have else "CREATE"
        text = sql.SQL("{} ROLE {} LOGIN {} {}").format(
            sql.SQL(verb), sql.Identifier(name), sql.SQL(_kind(name)), sql.SQL(_HARMLESS)
        )
        if password := passwords.get(name):
            # What it is checked by, not itself: statements may end up in the server's log.
            verifier = admin.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
            text += sql.SQL(" PASSWORD {}").format(sql.Literal(verifier))
        yield text


def _kind(role: str) -> LiteralString:
    return "REPLICATION" if role == REPLICATION else "NOREPLICATION"
