"""Which store: the PostgreSQL that is named (``M1CEP_STATE_URL``), else a folder."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING
from urllib.parse import quote

from streams.errors import UsageError
from streams.snapshots.folder import FolderStore

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

    from streams.snapshots.store import SnapshotStore


def open_store(
    state_url: SecretStr | None,
    state_dir: Path,
    cluster: str,
    group: str,
    *,
    allow_plaintext: bool = False,
) -> SnapshotStore:
    """The store of a group's snapshots. Nothing is connected to, read or made yet.

    Args:
        state_url: of a PostgreSQL; None: they are files below ``state_dir``.
        state_dir: the folder for the state of all groups, as of the settings.
        cluster: id of the Kafka cluster, or empty when it gives none: the same group on another one has other state.
        group: the consumer group.
        allow_plaintext: permits a PostgreSQL beyond this machine without TLS.

    Raises:
        UsageError: the address is none, or the extra ``postgres`` is not installed.
    """
    if state_url is None:
        return FolderStore(state_dir / "snapshots" / _folder_name(cluster or "unnamed") / _folder_name(group))
    if importlib.util.find_spec("psycopg") is None:
        raise UsageError(
            "M1CEP_STATE_URL is set, and the package psycopg is not installed",
            "install m1cep[postgres], or keep snapshots in a folder (M1CEP_STATE_DIR)",
        )
    from streams.snapshots.postgres import PostgresStore

    return PostgresStore(state_url, cluster, group, allow_plaintext=allow_plaintext)


def _folder_name(name: str) -> str:
    """One name of a folder for any text, another for another text: slashes and a leading dot are escaped."""
    escaped = quote(name, safe=" ")
    return f"%2E{escaped[1:]}" if escaped.startswith(".") else escaped
