"""A folder for servers that keep nothing: gone with the process; what a killed process has left is removed by a later one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from streams.embedded.unprivileged import ROOTS_PLACE, open_to_all, reachable, server_user
from streams.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A folder that nobody holds may be about to be held by who has just made it.
_LEFT_S = 60.0


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """A new folder that the user of servers can reach (``unprivileged``), removed with all that is in it at the end of the block.

    Args:
        name: what it is for, in its own name, too. Folders for the same whose owner was killed are removed first.

    Raises:
        ServerError: there is no place for it.
    """
    prefix = f"m1cep-{name}-"
    parent = Path(tempfile.gettempdir())
    try:
        if server_user() is not None and not reachable(parent.resolve()):
            parent = open_to_all(ROOTS_PLACE)
        _remove_left(parent, prefix)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        folder.chmod(0o711)
    except OSError as error:
        raise ServerError(
            f"no folder can be made in {parent}: {error.strerror or error}", "use another place (TMPDIR)"
        ) from error
    held = _held(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _held(folder: Path) -> int:
    """Hold a folder until the descriptor is closed, or the process ends in whatever way.

    Raises:
        OSError: it is held, or is no folder.
    """
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(held)
        raise
    return held


def _remove_left(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):  # another process removes it, or it is none of ours
            facts = folder.lstat()
            if facts.st_uid != os.geteuid() or facts.st_mtime > time.time() - _LEFT_S:
                continue
            held = _held(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)
