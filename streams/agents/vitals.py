"""What a worker knows about itself, for its probes, its metrics and its status record."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.agents import Running
    from streams.agents.stats import AgentStats
    from streams.cache.copies import Copies

_BEAT_S = 0.25
_REMEMBERED_S = 10.0


@dataclass
class Vitals:
    """Of one worker process.

    Attributes:
        group: prefix of its consumer groups.
        stats: counters by agent.
        running: its agents, once they are built.
        started_ms: epoch.
        broker_s: the monotonic clock when the broker answered last; None: it never has.
        web: address of its web server, or None.
        copies: of what is in the cache; None: there is no cache.
    """

    group: str
    stats: dict[str, AgentStats]
    running: list[Running] = field(default_factory=list)
    started_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    broker_s: float | None = None
    web: str | None = None
    copies: Copies | None = None
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    _delays: deque[tuple[float, float]] = field(default_factory=deque)
    _beat_s: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> str:
        """What tells this process from all others of the cluster."""
        return f"{self.group}/{self.host}/{self.pid}"

    async def beat(self) -> None:
        """Notice when the event loop does not move, for ever."""
        while True:
            self._beat_s = time.monotonic()
            await asyncio.sleep(_BEAT_S)
            now_s = time.monotonic()
            self._delays.append((now_s, now_s - self._beat_s - _BEAT_S))
            while now_s - self._delays[0][0] > _REMEMBERED_S:
                self._delays.popleft()

    def loop_delay_s(self) -> float:
        """The longest that the event loop was late in the last ten seconds, and is now."""
        now_s = time.monotonic()
        late_s = [late for at, late in self._delays if now_s - at <= _REMEMBERED_S]
        return max(0.0, now_s - self._beat_s - _BEAT_S, *late_s)

    def broker_silent_s(self) -> float | None:
        """How long ago the broker answered last; None: it never has."""
        return None if self.broker_s is None else time.monotonic() - self.broker_s

    def failed_agents(self) -> list[str]:
        """Agents that cannot go on."""
        stopped = {agent.name for agent in self.running if agent.failed.done()}
        return sorted(stopped | {name for name, stats in self.stats.items() if stats.state == "failed"})


class Rate:
    """Of a counter that only grows: by how much a second since the last look."""

    def __init__(self) -> None:
        self._before: tuple[float, int] | None = None

    def of(self, total: int, now_s: float) -> float:
        """The rate; 0 at the first look."""
        before, self._before = self._before, (now_s, total)
        if before is None or now_s <= before[0]:
            return 0.0
        return max(0.0, (total - before[1]) / (now_s - before[0]))
