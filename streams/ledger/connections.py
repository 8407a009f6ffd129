"""Connections to the ledger's databases: the primary to write, the replica to read, one of each for a shard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from streams.errors import UsageError
from streams.logs import hide
from streams.postgres_address import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.ledger.schema import Connection

WRITE, READ, OWNER = "M1CEP_DB_WRITE_URL", "M1CEP_DB_READ_URL", "M1CEP_DB_OWNER_URL"
_DEFAULTS = {"application_name": "m1cep", "connect_timeout": "5", "keepalives_idle": "5"}
_SESSION_ATTRS = {WRITE: "read-write", OWNER: "read-write", READ: "any"}


def shard_urls(url: SecretStr) -> list[SecretStr]:
    """One address for each shard: several are separated by white space, in the shards' order."""
    words = url.get_secret_value().split()
    if len(words) > 1 and all(word.startswith(("postgresql://", "postgres://")) for word in words):
        return [SecretStr(word) for word in words]
    return [url]


def connectors(url: SecretStr | None, setting: str, *, allow_plaintext: bool = False) -> list[Callable[[], Connection]]:
    """What connects to each shard.

    Args:
        url: of the setting.
        setting: its name: WRITE, READ or OWNER.
        allow_plaintext: permits a server beyond this machine without TLS.

    Raises:
        UsageError: there is none, it is no address, or the connection would not be encrypted.
    """
    if url is None:
        raise UsageError(f"{setting} is not set", "`m1cep db` runs a database and says its addresses")
    found = []
    for one in shard_urls(url):
        address = parse_address(one, setting, allow_plaintext=allow_plaintext)
        hide(address.get("password", ""))
        found.append(
            _connector(make_conninfo("", **_DEFAULTS | {"target_session_attrs": _SESSION_ATTRS[setting]} | address))
        )
    return found


def _connector(conninfo: str) -> Callable[[], Connection]:
    return lambda: psycopg.connect(conninfo, autocommit=True)
