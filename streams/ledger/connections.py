"""Connections to the ledger's databases, one for each shard: what ``streams.database`` does for one.

Several addresses in one setting, separated by white space, are shards, in their order.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from streams.database.addresses import owner_address, reader_address, writer_address
from streams.database.connection import connect
from streams.database.replica import require_fresh

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.config import Settings
    from streams.ledger.schema import Connection

    Connect = Callable[[], Connection]

_ADDRESSES = {"db_write_url": writer_address, "db_read_url": reader_address, "db_owner_url": owner_address}


def shard_urls(url: SecretStr) -> list[SecretStr]:
    """One address for each shard."""
    words = url.get_secret_value().split()
    if len(words) > 1 and all(word.startswith(("postgresql://", "postgres://")) for word in words):
        return [SecretStr(word) for word in words]
    return [url]


def write_addresses(settings: Settings) -> list[str]:
    """Of each shard's primary, for the role that writes; with the password, for ``connect_writer`` and nobody's eyes.

    Raises:
        UsageError: the setting is missing or wrong, or a connection would not be encrypted.
    """
    return _addresses(settings, "db_write_url")


def read_addresses(settings: Settings) -> list[str]:
    """Of each shard's replica, for the role that reads; with the password. Raises as :func:`write_addresses`."""
    return _addresses(settings, "db_read_url")


def connect_writer(address: str) -> Connection:
    """A connection to a primary that takes a commit which was not replicated for an error."""
    return connect(address).hear()


def writers(settings: Settings) -> list[Connect]:
    """What connects to each shard's primary, for the role that writes. Raises as :func:`write_addresses`."""
    return [partial(connect_writer, at) for at in write_addresses(settings)]


def owners(settings: Settings) -> list[Connect]:
    """The same for the role that owns the tables. Raises as :func:`writers`."""
    return [partial(connect_writer, at) for at in _addresses(settings, "db_owner_url")]


def readers(settings: Settings, most_age_s: float = math.inf) -> list[Connect]:
    """What connects to each shard's replica, for the role that reads. Raises as :func:`writers`.

    Args:
        settings: where they are.
        most_age_s: connecting raises StaleError where the data are older than this.
    """
    return [partial(_connect_fresh, at, most_age_s) for at in read_addresses(settings)]


def _connect_fresh(address: str, most_age_s: float) -> Connection:
    reader = connect(address)
    try:
        require_fresh(reader, most_age_s)
    except BaseException:
        reader.close()
        raise
    return reader


def _addresses(settings: Settings, name: str) -> list[str]:
    url: SecretStr | None = getattr(settings, name)
    shards: list[Any] = [None] if url is None else shard_urls(url)
    return [_ADDRESSES[name](settings.model_copy(update={name: one})) for one in shards]
