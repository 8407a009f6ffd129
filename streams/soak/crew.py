"""The workers of a soak: processes that are started, hurt on purpose, and started again when they end by themselves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import orjson

from streams.embedded.process import Process
from streams.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_AGAIN_AFTER_S = 1.0
LEAVE_WITHIN_S = 20.0  # after SIGTERM; a worker takes eight seconds for its last snapshots, at most
TOO_OFTEN = 5  # a worker that ends by itself so often in TOO_OFTEN_S does not work at all
TOO_OFTEN_S = 60.0


@dataclass(frozen=True)
class Ending:
    """A worker that ended by itself, as it may: the group had given its partitions to another, say.

    Attributes:
        at_s: a monotonic clock.
        worker: its number.
        code: exit status, -n for signal n.
        words: the end of its log.
    """

    at_s: float
    worker: int
    code: int | None
    words: str


@dataclass
class Worker:
    """One place for a worker; processes come and go in it.

    Attributes:
        wanted: whether it should run.
        paused: whether it is stopped by SIGSTOP.
        lives: how many processes there have been.
        leave_by_s: it was asked to end and should have by then.
    """

    number: int
    command: Sequence[str]
    folder: Path
    env: Mapping[str, str]
    process: Process | None = None
    wanted: bool = True
    paused: bool = False
    lives: int = 0
    leave_by_s: float | None = None
    down_since_s: float | None = None

    @property
    def name(self) -> str:
        """Number and life, such as ``2.3``."""
        return f"{self.number}.{self.lives}"

    def start(self) -> None:
        """Start the next process."""
        self.lives += 1
        self.leave_by_s = self.down_since_s = None
        self.wanted, self.paused = True, False
        self._stats_file.unlink(missing_ok=True)
        self.process = Process(f"worker {self.number}", self.folder / f"worker-{self.name}.log", grace_s=10.0)
        stats = ["--stats-file", str(self._stats_file), "--stats-every-ms", "200"]
        self.process.start([*self.command, *stats], env=self.env)

    @property
    def alive(self) -> bool:
        """Whether its process runs, or is paused."""
        return self.process is not None and self.process.alive()

    @property
    def ready(self) -> bool:
        """Whether its present process has joined the group and loaded its partitions, as it says itself."""
        if not self.alive or self.paused:
            return False
        try:
            stats = orjson.loads(self._stats_file.read_bytes())
        except (OSError, ValueError):
            return False
        return bool(stats["ready"] and self.process is not None and stats["pid"] == self.process.pid)

    def signal(self, number: int) -> None:
        """Send a signal to the process; nothing when it has ended meanwhile."""
        if self.alive and self.process is not None and self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def rss_mb(self) -> float | None:
        """Resident memory of the process."""
        return rss_mb(self.process.pid) if self.alive and self.process is not None else None

    @property
    def _stats_file(self) -> Path:
        return self.folder / f"stats-{self.number}.json"


@dataclass
class Crew:
    """All workers. Use as a context manager; in the end nothing of it is left running.

    Attributes:
        endings: who ended by itself.
    """

    command: Sequence[str]
    folder: Path
    env: Mapping[str, str]
    workers: dict[int, Worker] = field(default_factory=dict)
    endings: list[Ending] = field(default_factory=list)

    def add(self) -> Worker:
        """One more worker, started."""
        worker = Worker(max(self.workers, default=0) + 1, self.command, self.folder, self.env)
        self.workers[worker.number] = worker
        worker.start()
        return worker

    @property
    def ready(self) -> bool:
        """Whether every worker that should run does, and is ready."""
        return all(worker.ready for worker in self.workers.values() if worker.wanted)

    def running(self) -> list[Worker]:
        """Those that run and are not paused nor about to leave."""
        return [w for w in self.workers.values() if w.wanted and w.alive and not w.paused]

    def kill(self, worker: Worker) -> None:
        """SIGKILL; it is not started again by ``supervise``."""
        worker.wanted = False
        worker.signal(signal.SIGKILL)

    def leave(self, worker: Worker) -> None:
        """SIGTERM; it is not started again by ``supervise``."""
        worker.wanted = False
        worker.leave_by_s = time.monotonic() + LEAVE_WITHIN_S
        worker.signal(signal.SIGTERM)

    def pause(self, worker: Worker) -> None:
        """SIGSTOP."""
        worker.paused = True
        worker.signal(signal.SIGSTOP)

    def resume(self, worker: Worker) -> None:
        """SIGCONT."""
        worker.signal(signal.SIGCONT)
        worker.paused = False

    def supervise(self) -> None:
        """Start again who ended by itself, a moment later, as a supervisor would.

        Raises:
            ServerError: a worker ends again and again, or does not end when asked to.
        """
        now_s = time.monotonic()
        for worker in self.workers.values():
            if worker.leave_by_s is not None:
                self._see_it_leave(worker, now_s)
            if worker.alive or not worker.wanted:
                continue
            if worker.down_since_s is None:
                worker.down_since_s = now_s
                self._note(worker, now_s)
            elif now_s - worker.down_since_s >= START_AGAIN_AFTER_S:
                worker.start()

    def _see_it_leave(self, worker: Worker, now_s: float) -> None:
        assert worker.process is not None
        if not worker.alive:
            if worker.process.returncode != 0:
                self._note(worker, now_s)
            worker.leave_by_s = None
        elif worker.leave_by_s is not None and now_s > worker.leave_by_s:
            raise ServerError(f"worker {worker.number} did not end within {LEAVE_WITHIN_S:.0f} s of SIGTERM")

    def _note(self, worker: Worker, now_s: float) -> None:
        assert worker.process is not None
        words = worker.process.last_words(2)
        self.endings.append(Ending(now_s, worker.number, worker.process.returncode, words))
        recent = [e for e in self.endings if e.worker == worker.number and e.at_s > now_s - TOO_OFTEN_S]
        if len(recent) >= TOO_OFTEN:
            raise ServerError(f"worker {worker.number} ends again and again: {words}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            if worker.paused:
                self.resume(worker)
            worker.signal(signal.SIGTERM)  # all at once: each may take some seconds
        for worker in self.workers.values():
            if worker.process is not None:
                worker.process.stop()


def rss_mb(pid: int | None) -> float | None:
    """Resident memory of a process in megabytes; None when it is gone."""
    if pid is None:
        return None
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        found = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")), None)
    except FileNotFoundError:
        if Path("/proc/self/status").exists():
            return None
        found = _rss_of_ps(pid)  # macOS
    return None if found is None else int(found) / 1024


def _rss_of_ps(pid: int) -> str | None:
    done = subprocess.run(  # noqa: S603 - a number is all that is given to it
        ["/bin/ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None
