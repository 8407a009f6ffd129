"""What flows when: how event time goes on over an agent's partitions, and what is read next.

Brings together ``idle`` (topics read to their ends), ``clock`` (time in silence), ``ahead`` (topics not to be read for now) and
``pace`` (how much at once) for the host, which has the partitions and the broker.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from faust.types import TP

from streams.agents.ahead import Ahead
from streams.agents.clock import SilenceClock
from streams.agents.idle import IdleWatch
from streams.agents.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.agents.partition import Partition
    from streams.agents.stats import AgentStats
    from streams.transport import BatchConsumer


#: A process that looked at nothing for so long was stopped or busy: an answer of the broker that it finds now may be as old.
_ASLEEP_S = 1.0


class Flow:
    """Watches the flow of an agent's partitions.

    Args:
        idle_timeout_s: see :class:`IdleWatch`.
        silence_s: see :class:`SilenceClock`.
        max_waiting: see :class:`Ahead`.
    """

    def __init__(self, idle_timeout_s: float = 0.1, silence_s: float = 5.0, max_waiting: int = 20_000) -> None:
        self.idle = IdleWatch(idle_timeout_s)
        self.tick_s = max(0.01, idle_timeout_s / 4)  # how often to call ``look``
        self._clock = SilenceClock(silence_s)
        self._ahead = Ahead(max_waiting)
        self._pace = Pace()
        self._waiting: dict[TP, int] = {}
        self._told: tuple[frozenset[TP], int] | None = None
        self._looked_s = time.monotonic()

    def start(self, partitions: Mapping[int, Partition]) -> None:
        """Partitions were assigned."""
        self.idle.forget()
        self._waiting.clear()
        self._told = None
        newest_us = {number: p.newest_us for number, p in partitions.items()}
        self._clock.start(newest_us, time.monotonic(), {number for number, p in partitions.items() if p.live})

    def took(self, number: int, partition: Partition, records: int, seconds: float) -> None:
        """A batch of a partition was processed."""
        self._clock.heard(number, partition.newest_us, time.monotonic(), live=partition.live)
        self._pace.took(records, seconds)
        self._count(number, partition)

    def look(self) -> float:
        """The time by a monotonic clock. To be called every ``tick_s``, whatever else goes on."""
        now_s = time.monotonic()
        if now_s - self._looked_s > _ASLEEP_S:
            self.idle.forget()
        self._looked_s = now_s
        self._clock.look(now_s)
        return now_s

    def _count(self, number: int, partition: Partition) -> None:
        self._waiting.update((TP(topic, number), rows) for topic, rows in partition.waiting().items())

    def silent_us(self, number: int, partition: Partition, now_s: float) -> int | None:
        """Up to where event time has gone on in a partition that is silent; None when it is not, or nothing can be said.

        To be asked of each partition every ``tick_s``, after its topics were looked at.
        """
        self._count(number, partition)  # an idle topic no longer holds back others
        confirmed_s = self.idle.confirmed_s(TP(topic, number) for topic in partition.positions)
        return None if confirmed_s is None else self._clock.time_us(number, confirmed_s, now_s)

    def steer(self, consumer: BatchConsumer, stats: AgentStats) -> None:
        """Tell the consumer what to read next, when that has changed."""
        held_back = self._ahead.of(self._waiting.items())
        if (held_back, self._pace.size) == self._told:
            return
        self._told = held_back, self._pace.size
        consumer.steer(held_back, self._pace.size)
        stats.held_back = sorted(f"{tp.topic}/{tp.partition}" for tp in held_back)
        stats.batch_size = self._pace.size
