"""The coordinator's audit log as a file: a line an entry (``m1cep.custody.audit``), on the disk before anything of it is sent.

What was heard and not yet saved with the state when the process ended is heard again, and stands here twice: nothing is ever
taken back but a last line that was not written whole.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from m1cep.custody.audit import AuditLog, Break, Head, verify
from streams import durable
from streams.errors import ShellError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "custody"


class Journal:
    """Appends to the log; what is not flushed yet is in memory.

    Args:
        file: made if it is not there.

    Raises:
        ShellError: what is there is broken: says where.
    """

    def __init__(self, file: Path) -> None:
        durable.private_folder(file.parent)
        self._file = file
        self._waiting: list[bytes] = []
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        durable.sync_folder(file.parent)
        found = verify(NAME, read_lines(file))
        if isinstance(found, Break):
            raise ShellError(
                f"the audit log {file} is broken: {found.reason}", "somebody has changed it: put back what was there"
            )
        data = file.read_bytes()
        os.ftruncate(self._descriptor, data.rfind(b"\n") + 1)
        self._log = AuditLog(NAME, found)

    @property
    def head(self) -> Head:
        """Where it stands, with what is not flushed."""
        return self._log.head

    def append(self, kind: str, body: dict[str, Any], time_ms: int) -> bytes:
        """The next entry; its line, without the end."""
        line = self._log.append(kind, body, time_ms).line()
        self._waiting.append(line + b"\n")
        return line

    def lines_after(self, seq: int) -> list[bytes]:
        """Those of the entries after this one that are on the disk."""
        return read_lines(self._file)[seq:]

    def flush(self) -> None:
        """All of it on the disk."""
        if self._waiting:
            data = b"".join(self._waiting)
            while data:
                data = data[os.write(self._descriptor, data) :]
            os.fsync(self._descriptor)
            self._waiting = []

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def read_lines(file: Path) -> list[bytes]:
    """The whole lines of a log; what comes after the last end of a line was never written whole."""
    return file.read_bytes().split(b"\n")[:-1]
