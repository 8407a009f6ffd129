"""What embedded servers with data of their own have in common: one owner at a time, and a password made at the first start."""

from __future__ import annotations

import contextlib
import fcntl
import secrets
from typing import IO, TYPE_CHECKING

from streams.durable import replace
from streams.errors import ServerError

if TYPE_CHECKING:
    from pathlib import Path


def locked(place: Path, name: str) -> IO[str]:
    """The lock on a server's folder, held while the file is open: of two owners the second would empty the first one's log.

    Args:
        place: the folder; it exists.
        name: of the server, for messages.

    Raises:
        ServerError: another process holds it.
    """
    lock = (place / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ServerError(f"another process runs {name} in {place}", "end it, or use another folder") from None
    return lock


def kept_password(path: Path, *, made_for: Path) -> str:
    """The password in a file (0600); made when there is no data yet that another was made for.

    Raises:
        ServerError: there is data, but the file is gone.
    """
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    if made_for.exists():
        raise ServerError(
            f"{path} is gone, and nobody can be let in without it", f"put it back, or remove {path.parent}"
        )
    password = secrets.token_urlsafe(24)
    replace(path, password.encode())
    return password
