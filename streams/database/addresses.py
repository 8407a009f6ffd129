"""Where the ledger's PostgreSQL is, for each of its three roles; checked, as connection strings for psycopg."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.conninfo import make_conninfo

from streams.errors import UsageError
from streams.logs import hide
from streams.postgres_address import parse_address

if TYPE_CHECKING:
    from pydantic import SecretStr

    from streams.config import Settings

CONNECT_TIMEOUT_S = 5
#: What every connection begins with; what stands in the URL goes before.
_DEFAULTS = {
    "application_name": "m1cep",
    "connect_timeout": str(CONNECT_TIMEOUT_S),
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
}


def writer_address(settings: Settings) -> str:
    """Of the primary, for the role that writes: of several hosts the one that can be written to.

    Raises:
        UsageError: ``M1CEP_DB_WRITE_URL`` is missing or wrong, or the connection would not be encrypted.
    """
    return _address(settings, "db_write_url", "read-write")


def owner_address(settings: Settings) -> str:
    """Of the primary, for the role that owns the tables. Raises as :func:`writer_address`, for ``M1CEP_DB_OWNER_URL``."""
    return _address(settings, "db_owner_url", "read-write")


def reader_address(settings: Settings) -> str:
    """Of a replica, for the role that reads: of several hosts one that follows the primary.

    Raises as :func:`writer_address`, for ``M1CEP_DB_READ_URL``. A service that hides which server it is may need
    ``?target_session_attrs=any`` in the URL.
    """
    return _address(settings, "db_read_url", "standby")


def _address(settings: Settings, name: str, session: str) -> str:
    setting = f"M1CEP_{name.upper()}"
    url: SecretStr | None = getattr(settings, name)
    if url is None:
        raise UsageError(
            f"{setting} is not set", "set it to the address of your PostgreSQL, or start one with m1cep db"
        )
    parts = parse_address(url, setting, allow_plaintext=settings.allow_plaintext)
    hide(parts.get("password", ""))
    return make_conninfo("", **{**_DEFAULTS, "target_session_attrs": session, **parts})
