"""Who runs a command, for histories and records that say who did something."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """The name of the user of this process; of one that the machine has no name for, as in a container, ``uid-10001``."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # before Python 3.13 the one, since then the other
        return f"uid-{os.getuid()}"
