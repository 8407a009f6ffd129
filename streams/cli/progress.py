"""A progress bar for whoever waits: on stderr, only when that is a terminal, only after two seconds."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

AFTER_S = 2.0


class ProgressBar:
    """What is being done and how much of it is; a context manager.

        with ProgressBar("sending", total=size) as bar:
            bar.update(done)

    Args:
        what: in a word or two; ``update`` may change it.
        total: of what ``update`` counts; None: not known, the bar only shows that something is going on.
    """

    def __init__(self, what: str, total: float | None = None) -> None:
        self._what = what
        self._total = total
        self._done = 0.0
        self._lock = threading.Lock()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._timer: threading.Timer | None = None
        if sys.stderr.isatty():
            self._timer = threading.Timer(AFTER_S, self._show)
            self._timer.daemon = True

    def update(self, done: float, what: str | None = None) -> None:
        """So much is done, of this."""
        with self._lock:
            self._done = done
            self._what = what or self._what
            if self._bar is not None and self._task is not None:
                self._bar.update(
                    self._task, completed=done, description=self._what, total=self._total if done else None
                )

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        with self._lock:
            if self._timer is None:
                return
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(
                self._what, completed=int(self._done), total=self._total if self._done else None
            )

    def __enter__(self) -> Self:
        if self._timer is not None:
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            timer, self._timer = self._timer, None
            bar, self._bar = self._bar, None
        if timer is not None:
            timer.cancel()
        if bar is not None:
            bar.stop()
