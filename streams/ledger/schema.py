"""The schema of the ledger's databases: made and brought up to date by their owner, checked by whoever uses them.

Migrations are plain SQL, run by alembic; ``ledger.schema_version`` says which were. They only add: a released version of a
table is not changed in what it means (``..._v1``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from m1cep.errors import LedgerError
from m1cep.ledger import AccountKey, Kind
from streams.errors import ServerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.ledger import Chart

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0001"
_ROLES = ("m1cep_ledger", "m1cep_risk")
_LOCK = 0x4D314C454447  # "M1LEDG": of two that migrate at once, one waits

Connection = psycopg.Connection[tuple[Any, ...]]


def migrate(connect: Callable[[], Connection], number: int = 0, count: int = 1) -> str:
    """Bring one shard's schema up to date; the version that it has then.

    Args:
        connect: gives a connection of the owner.
        number: of the shard, from 0.
        count: of all shards. Neither can be changed: accounts would be looked for elsewhere.

    Raises:
        ServerError: the database refuses, or lacks the roles.
        UsageError: it is another shard already.
    """
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    _check_roles(connect)
    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK})")
            connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS ledger")
            connection.commit()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    finally:
        engine.dispose()
    with connect() as owner:
        owner.execute(
            "INSERT INTO ledger.shard_v1 (number, count) VALUES (%s, %s) ON CONFLICT DO NOTHING", [number, count]
        )
        check_schema(owner, number, count)
    return HEAD


def check_schema(connection: Connection, number: int = 0, count: int = 1) -> None:
    """Whether a database is the shard that is meant, in the version that this program knows.

    Raises:
        ServerError: it has no such schema, or an older or newer one.
        UsageError: it is another shard.
    """
    try:
        version = connection.execute("SELECT version_num FROM ledger.schema_version").fetchone()
        shard = connection.execute("SELECT number, count FROM ledger.shard_v1").fetchone()
    except (
        psycopg.errors.UndefinedTable,
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.InsufficientPrivilege,
    ) as error:
        raise ServerError("the database has no ledger", "make it: m1cep ledger migrate") from error
    if version != (HEAD,):
        raise ServerError(
            f"the ledger's schema is version {version and version[0]}, this program knows {HEAD}",
            "m1cep ledger migrate brings an older one up to date; a newer one needs a newer m1cep",
        )
    if shard != (number, count):
        is_one = "no shard" if shard is None else f"shard {shard[0]} of {shard[1]}"
        raise UsageError(
            f"expected shard {number} of {count} (from 0), the database is {is_one}",
            "name the databases in the order in which they were migrated, and all of them",
        )


def register_assets(connection: Connection, decimals: dict[str, int]) -> None:
    """Make the chart's assets known to a database.

    Raises:
        LedgerError: it knows one with other decimals: its minor units mean something else.
    """
    codes, wanted = list(decimals), list(decimals.values())
    connection.execute(
        "INSERT INTO ledger.assets_v1 (code, decimals) SELECT * FROM unnest(%s::text[], %s::int[]) ON CONFLICT DO NOTHING",
        [codes, wanted],
    )
    for code, known in connection.execute("SELECT code, decimals FROM ledger.assets_v1 WHERE code = ANY(%s)", [codes]):
        if known != decimals[code]:
            raise LedgerError(
                "bad_chart", f"asset {code}: the books keep it with {known} decimals, the chart says {decimals[code]}"
            )


def unlike_chart(connection: Connection, chart: Chart) -> list[str]:
    """Accounts that were opened as ones that may be below zero and are none by this chart, or the reverse.

    They stay what they are: the role that books cannot change it, and what it has booked counted on it.
    """
    # Of ranges such as [a-f] the database sees more than they mean; the chart decides.
    plain = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_", "*": "%", "?": "_"})
    likely = [
        f"{pattern.partition('[')[0].translate(plain)}{'%' if '[' in pattern else ''}" for pattern in chart.overdraft
    ]
    rows = connection.execute(
        "SELECT kind, owner, asset, overdraft FROM ledger.accounts_v1 "
        "WHERE overdraft OR kind || '/' || owner LIKE ANY(%s) ORDER BY kind, owner, asset",
        [likely],
    )
    keys = ((AccountKey(Kind(kind), owner, asset), overdraft) for kind, owner, asset, overdraft in rows)
    return [str(key) for key, overdraft in keys if overdraft != chart.may_overdraw(key)]


def _check_roles(connect: Callable[[], Connection]) -> None:
    with connect() as connection:
        found = {
            row[0] for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(_ROLES)])
        }
    if missing := [role for role in _ROLES if role not in found]:
        raise ServerError(f"the server has no role {', '.join(missing)}", "make them first: CREATE ROLE ... LOGIN")
