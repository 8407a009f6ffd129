"""Addresses of PostgreSQL servers: checked, and shown without their passwords. Needs the extra ``postgres``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psycopg
from psycopg import conninfo

from streams.config import is_loopback
from streams.errors import UsageError

if TYPE_CHECKING:
    from pydantic import SecretStr

Address = dict[str, str]  # libpq's names for the parts

_ENCRYPTED = {"require", "verify-ca", "verify-full"}


def parse_address(url: SecretStr, setting: str, *, allow_plaintext: bool = False) -> Address:
    """The parts of ``postgresql://...``, or of any other connection string of libpq.

    Args:
        url: as the user gave it.
        setting: the user's name for it.
        allow_plaintext: permits a server beyond this machine without TLS.

    Raises:
        UsageError: it is none, or the connection would not be encrypted.
    """
    try:
        given = conninfo.conninfo_to_dict(url.get_secret_value())
    except psycopg.Error:  # it quotes the text, password and all: nothing of it may be shown, nor chained
        raise UsageError(
            f"{setting} is not the address of a PostgreSQL",
            "expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special characters as %XX",
        ) from None
    address = {name: str(value) for name, value in given.items() if value is not None}
    mode = address.get("sslmode") or os.environ.get("PGSSLMODE", "")
    if not allow_plaintext and not _stays_here(address) and mode not in _ENCRYPTED:
        raise UsageError(
            f"{public_address(address)} is not on this machine and the connection might not be encrypted",
            f"add sslmode=verify-full (or require) to {setting}; if the network between is trusted, set "
            "M1CEP_ALLOW_PLAINTEXT=true",
        )
    return address


def public_address(address: Address) -> str:
    """The address for messages: no password, no options."""
    user = f"{address['user']}@" if "user" in address else ""
    port = f":{address['port']}" if "port" in address else ""
    place = address.get("host") or address.get("hostaddr") or address.get("service") or ""
    return f"postgresql://{user}{place}{port}/{address.get('dbname', '')}"


def _stays_here(address: Address) -> bool:
    """Whether every host is this machine, or a socket in its file system."""
    if "service" in address or "PGSERVICE" in os.environ:
        return False  # in a file that we do not read
    named = address.get("host") or os.environ.get("PGHOST", "")
    numbers = address.get("hostaddr") or os.environ.get("PGHOSTADDR", "")  # libpq connects to these when there are any
    return all(not host or host.startswith(("/", "@")) or is_loopback(host) for host in (numbers or named).split(","))
