"""A server process of ours: started, awaited, watched, stopped; never left behind.

Between us and the server runs the guard (``guard.py``), which ends the server when we are gone, even by SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

import structlog

from streams.errors import ServerError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

log = structlog.get_logger(__name__)

_GUARD = Path(__file__).with_name("guard.py")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.1


class Process:
    """One server. Use as a context manager, or call ``start`` and ``stop``; both return when they are done.

    It may be started and stopped from any thread, and from asyncio code where a pause of some 100 ms does not matter.

    Args:
        name: what messages call it.
        log_path: gets the server's stdout and stderr; emptied at each start.
        grace_s: seconds that the server has to end by itself before SIGKILL.
        stop_signal: what asks it to end.
        user: uid and gid that it runs as, with no other groups; None: ours. Only root can give another.
    """

    def __init__(
        self,
        name: str,
        log_path: Path,
        *,
        grace_s: float = 3.0,
        stop_signal: int = signal.SIGTERM,
        user: tuple[int, int] | None = None,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.grace_s = grace_s
        self.stop_signal = stop_signal
        self.user = user
        self.pid: int | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._lifeline: IO[bytes] | None = None

    def start(self, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> None:
        """Start the server; it is not ready yet, see ``wait_ready``.

        Args:
            command: program and arguments.
            env: its whole environment; by default only PATH, so that nothing set for others reaches it.

        Raises:
            ServerError: the program cannot be started.
        """
        if self.alive():
            raise ServerError(f"{self.name} is running already, as process {self.pid}", "stop it first")
        self._release()
        user = "-" if self.user is None else f"{self.user[0]}:{self.user[1]}"
        guard = [sys.executable, "-I", "-S", _GUARD, os.getpid(), self.stop_signal, self.grace_s, user]
        # The descriptor is closed here after the start, and inherited by nobody else: pipes are close-on-exec.
        with self.log_path.open("wb") as log_file:
            self._guard = subprocess.Popen(  # noqa: S603 - the command is ours
                [*map(str, guard), *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                cwd=self.log_path.parent,
                env=dict(env) if env is not None else {"PATH": os.environ.get("PATH", os.defpath)},
                start_new_session=True,  # Ctrl-C on our terminal reaches us alone; we end it in order
            )
        self._lifeline = self._guard.stdin
        assert self._guard.stdout is not None
        with self._guard.stdout as report:
            answer = report.readline().decode(errors="replace").strip()
        if not answer.isdigit():
            self.stop()
            reason = answer.removeprefix("!") or self.last_words()
            raise ServerError(f"{self.name} cannot be started: {command[0]}: {reason}")
        self.pid = int(answer)

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Call ``ready`` until it says True.

        Raises:
            ServerError: the server ended, or is not ready after ``timeout_s``; it is stopped then.
        """
        deadline = time.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                words = self.last_words()
                self.stop()
                raise ServerError(f"{self.name} started but was not ready after {timeout_s:g} s: {words}", self._see())
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self.check()

    def alive(self) -> bool:
        """Whether the server runs."""
        return self._guard is not None and self._guard.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit status of the server, -n when signal n ended it; None while it runs or was never started."""
        code = None if self._guard is None else self._guard.poll()
        return code if code is None or code <= 128 else 128 - code

    def check(self) -> None:
        """Do nothing while the server runs.

        Raises:
            ServerError: it ended by itself or was killed; the message has its last words.
        """
        if self.alive():
            return
        if self._guard is None:
            raise ServerError(f"{self.name} was not started")
        raise ServerError(f"{self.name} {self._how_it_ended()}: {self.last_words()}", self._see())

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the server's end; its exit status as of ``returncode``, None when it still runs after the time."""
        if self._guard is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guard.wait(timeout_s)
        return self.returncode

    def stop(self) -> None:
        """End the server: its stop signal, ``grace_s`` of patience, SIGKILL. Nothing to do when it does not run."""
        guard = self._guard
        if guard is None:
            return
        if guard.poll() is None:
            guard.terminate()
        self._release()
        try:
            guard.wait(self.grace_s + 2)
        except subprocess.TimeoutExpired:  # the guard itself is stopped or stuck
            guard.kill()
            guard.wait()
            if self.pid is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)

    def last_words(self, lines: int = 3) -> str:
        """The last lines of the server's log, on one line."""
        try:
            with self.log_path.open("rb") as file:
                file.seek(max(0, self.log_path.stat().st_size - 8192))
                text = _ANSI.sub("", file.read().decode(errors="replace"))
        except OSError:
            text = ""
        said = [line.strip() for line in text.splitlines() if line.strip()]
        return one_line(" / ".join(said[-lines:]))[-600:] or "it said nothing"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _how_it_ended(self) -> str:
        code = self.returncode
        if code is None or code >= 0:
            return f"ended with exit code {code}"
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"

    def _see(self) -> str:
        return f"its log is {self.log_path}"

    def _release(self) -> None:
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None
