"""A user for servers that refuse to run as root, and folders that it can reach."""

from __future__ import annotations

import os
import pwd
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from streams.errors import ServerError

#: Tried in this order. A user of no other use is best: who runs as the same user may read the server's files.
CANDIDATES = ("m1cep", "postgres", "nobody")
#: Of root alone to write to, and open for all to pass through: home folders are neither.
ROOTS_PLACE = Path("/var/lib/m1cep")


class User(NamedTuple):
    """Whom a server runs as."""

    name: str
    uid: int
    gid: int


def server_user() -> User | None:
    """The user for servers when we are root; None when we are not, and they run as we do.

    Raises:
        ServerError: root, and there is no other user.
    """
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return User(name, entry.pw_uid, entry.pw_gid)
    raise ServerError(
        f"PostgreSQL does not run as root, and this machine has none of the users {', '.join(CANDIDATES)}",
        "make one (useradd --system m1cep), or start M1CEP as another user than root",
    )


def reachable(path: Path) -> bool:
    """Whether every user can pass through the folder and all above it."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def place_for(folder: Path, user: User | None) -> Path:
    """The folder itself when the server's user can reach it, else one of its own for it below ``ROOTS_PLACE``.

    Always the same one, so that what was kept is found again. Made when missing.

    Raises:
        OSError: it cannot be made.
    """
    folder = folder.resolve()
    if user is None or reachable(folder):
        return folder
    name = f"embedded-{blake2b(str(folder).encode(), digest_size=6).hexdigest()}"
    return open_to_all(open_to_all(ROOTS_PLACE) / name)


def open_to_all(folder: Path) -> Path:
    """The same folder, which every user can pass through. Made when missing.

    Raises:
        OSError: it cannot be made.
    """
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder.chmod(folder.stat().st_mode | 0o011)  # whatever the umask took away
    return folder
