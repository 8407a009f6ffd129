"""What every embedded server has in common: a process that is started, looked at, and stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from streams.errors import ServerError

if TYPE_CHECKING:
    from pathlib import Path

    from streams.embedded.process import Process


class EmbeddedServer(ABC):
    """A server of our own; as a context manager it is started and stopped.

    Attributes:
        name: what messages call it.
        folder: its own.
        port_asked: what was asked for; None: any free port.
        port: where it listens, once started.
    """

    name: str

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port_asked = port
        self.port = 0
        self._process: Process | None = None

    @abstractmethod
    def start(self) -> Self:
        """Start the server and return when it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it; nothing is left running."""

    @property
    def process(self) -> Process:
        """The process of the started server: pid, log_path, check, wait, last_words.

        Raises:
            ServerError: it was not started.
        """
        if self._process is None:
            raise ServerError(f"{self.name} was not started")
        return self._process

    def alive(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.alive()

    def check(self) -> None:
        """Do nothing while the server runs.

        Raises:
            ServerError: it ended or was killed, with its last words.
        """
        self.process.check()

    @property
    def returncode(self) -> int | None:
        """Exit status, -n for signal n; None while it runs or before it was started."""
        return None if self._process is None else self._process.returncode

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
