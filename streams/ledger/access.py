"""Whether risk can write: tried, with risk's own credentials, on the server it is given and on the one that takes writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import make_conninfo

from streams.ledger.connections import shard_urls
from streams.postgres_address import parse_address

if TYPE_CHECKING:
    from pydantic import SecretStr

#: Each by itself; with a role that is only to read, none may succeed. All are rolled back.
ATTEMPTS = (
    "UPDATE ledger.accounts_v1 SET credits_posted = credits_posted + 1",
    "INSERT INTO ledger.assets_v1 (code, decimals) VALUES ('written-by-risk', 0)",
    "DELETE FROM ledger.holds_v1",
    "DELETE FROM ledger.transfers_v1",
    "TRUNCATE ledger.positions_v1",
    "CREATE TABLE ledger.by_risk (x int)",
    "CREATE SCHEMA by_risk",
    "CREATE TABLE public.by_risk (x int)",
    "CREATE TEMPORARY TABLE by_risk (x int)",
    "SET ROLE m1cep_ledger",
    "SET ROLE m1cep_owner",
    "SELECT lo_create(0)",
)
#: A role may turn these off by itself: so they are no guard, and are off while we try.
_UNGUARDED = ("SET default_transaction_read_only = off", "SET transaction_read_only = off")


def writes_that_succeed(read_url: SecretStr, write_url: SecretStr, *, allow_plaintext: bool = False) -> list[str]:
    """What of ``ATTEMPTS`` risk could do, on the replica or on the primary; empty: it cannot write.

    Args:
        read_url: risk's, of the replica.
        write_url: the ledger's: only its hosts are used.
        allow_plaintext: see ``parse_address``.
    """
    done = []
    for ours, theirs in zip(shard_urls(read_url), shard_urls(write_url), strict=True):
        risk = parse_address(ours, "M1CEP_DB_READ_URL", allow_plaintext=allow_plaintext)
        primary = parse_address(theirs, "M1CEP_DB_WRITE_URL", allow_plaintext=allow_plaintext)
        for where in (risk, primary):
            place = {
                name: where[name]
                for name in ("host", "hostaddr", "port", "dbname", "target_session_attrs")
                if name in where
            }
            done += _tried(make_conninfo("", **{"connect_timeout": "5"} | risk | place))
    return done


def _tried(conninfo: str) -> list[str]:
    try:
        connection = psycopg.connect(conninfo)
    except psycopg.OperationalError:
        return []  # not let in at all
    done = []
    with connection:
        for attempt in ATTEMPTS:
            try:
                for statement in (*_UNGUARDED, attempt):
                    connection.execute(statement.encode())
                done.append(attempt)
            except psycopg.Error:
                pass
            finally:
                connection.rollback()
    return done
