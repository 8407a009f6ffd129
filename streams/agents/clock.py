"""Up to where event time may be taken to have gone on for a partition that is silent.

An absence or the end of a session must fire although no event comes to carry time there. Nobody but a clock can say so then, and
its word must never make an event late that was merely on its way. What is relied on: events reach the worker within
``silence`` of being written, and event time goes at least as fast as the clock.

    partition 0   e at 10:00:00, then nothing       partition 1   brings event after event, now 12:00:07
                  silent for 8 s: 10:00:08                        5 s ago it was at 12:00:02
                  less the silence of 5 s: 10:00:03
                                              time of partition 0: 12:00:02, the later of the two

- *By itself*: the newest event time plus how long it has been silent, less ``silence``; only where events come about when they
  happen. The times of a file that is played, or of a test by hand, have nothing to do with a clock.
- *By the others*: the worker's other partitions that are not silent had come to a time ``silence`` ago, all of them; what was
  written before has arrived everywhere by now. One that is ahead, or has an event of a wrong time, does not decide alone
  where others bring events too.

All of it counts only from when the partition has brought no event for ``silence``, and the broker has confirmed that there is
none. Only a monotonic clock within the process is used: a clock that is wrong changes nothing, and after a restart, or
a time in which the process was stopped, silence counts anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_SAMPLES = 20  # of a partition's time, within ``silence``
#: A process that looked at nothing for this part of ``silence`` was stopped or busy: what it believes to be silent may not be.
_ASLEEP = 0.5


@dataclass(slots=True)
class _Partition:
    newest_us: int | None
    heard_s: float  # when its last event came
    live: bool  # events come about when they happen
    aged_us: int | None = None  # where it was ``silence`` ago
    samples: deque[tuple[float, int]] = field(default_factory=deque)  # when it was where, less than ``silence`` ago


class SilenceClock:
    """Follows the partitions of a worker.

    Args:
        silence_s: 0 means that time stands still in silence.
    """

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._partitions: dict[int, _Partition] = {}
        self._looked_s: float | None = None

    def start(self, newest_us: Mapping[int, int | None], now_s: float, live: Collection[int]) -> None:
        """Partitions were assigned: silence counts anew.

        Args:
            newest_us: of each partition that is read, where its event time stands; None when it has had no event.
            now_s: a monotonic clock, here and below.
            live: those whose events come about when they happen.
        """
        self._partitions = {number: _Partition(newest, now_s, number in live) for number, newest in newest_us.items()}

    def heard(self, partition: int, newest_us: int | None, now_s: float, *, live: bool) -> None:
        """Events came; ``newest_us`` is the partition's highest event time by now."""
        if (found := self._partitions.get(partition)) is not None:
            found.newest_us, found.heard_s, found.live = newest_us, now_s, live

    def look(self, now_s: float) -> None:
        """To be called often: note where each partition is."""
        asleep = self._looked_s is not None and now_s - self._looked_s > self._silence_s * _ASLEEP
        self._looked_s = now_s
        for found in self._partitions.values():
            if asleep:
                found.heard_s = now_s
            samples = found.samples
            while samples and samples[0][0] <= now_s - self._silence_s:
                found.aged_us = samples.popleft()[1]
            due = not samples or now_s - samples[-1][0] >= self._silence_s / _SAMPLES
            if due and found.newest_us is not None:
                samples.append((now_s, found.newest_us))

    def time_us(self, partition: int, confirmed_s: float, now_s: float) -> int | None:
        """Up to where time has gone on for a partition, in epoch microseconds; None when nothing can be said.

        Args:
            partition: whose topics are all read to their ends.
            confirmed_s: when the broker said so for the last time, of the topic for which that is longest ago.
            now_s: not before the last ``look``.
        """
        found = self._partitions.get(partition)
        if found is None or found.newest_us is None or not self._silence_s:
            return None
        silent_s = confirmed_s - found.heard_s
        if silent_s < self._silence_s:
            return None
        by_itself = found.newest_us + (int((silent_s - self._silence_s) * 1e6) if found.live else 0)
        since_s = now_s - self._silence_s
        lively = [p.aged_us for p in self._partitions.values() if p.heard_s > since_s]
        by_others = min((us for us in lively if us is not None), default=by_itself)
        return max(by_itself, by_others)
