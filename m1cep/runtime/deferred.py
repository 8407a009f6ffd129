"""Sliding windows of rules that ask for a number of rows: most rows are never put into one.

How often the most frequent key of a batch occurs takes little to find; how often the most frequent value of one column of the
key does takes still less, and is no smaller. As long as these numbers, of the batches that the widest frame reaches back to, do
not add up to what the condition asks for, no key can have so many rows: the batch only waits. Once they may add up, the batches
that still wait are put into the windows, as they would have been before, and then the present one.

    frame of 1 s, COUNT(*) >= 20     batches        b1   b2   b3   b4   b5
                                     most a key      6    4    7    3    9
                                     added up        6   10   17   14   19      b4: b1 is older than the frame; never looked at
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import zip_longest
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from m1cep.runtime.simple import SlidingWindow, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from m1cep.codegen.module import Module
    from m1cep.plan.constants import Constants
    from m1cep.runtime.batch import Batch
    from m1cep.runtime.outcome import Hit
    from m1cep.runtime.suppress import Suppressor

MOST_ROWS = 20_000  # that wait
MOST_BATCHES = 64  # that are remembered one by one, the oldest together
TRIES = 8  # batches in a row that were enough: after them it is not counted ...
REST = 1_024  # ... for so many
MANY = 2**62  # rows: more than any condition asks for


@dataclass(slots=True)
class _Rows:
    """Rows of a batch, or of several.

    Attributes:
        last: no row is younger than this event time.
        most: no key has more of them.
        rows: (position, row) while they wait, by batch; none once they are in the windows.
        waiting: how many of them wait.
    """

    last: int
    most: int
    rows: list[Iterable[tuple[int, Any]]] = field(default_factory=list)
    waiting: int = 0


class DeferredWindow(SlidingWindow):
    """As SlidingWindow, for rules that ask for a number of rows within ``SPAN``."""

    def __init__(self, module: Module, suppressor: Suppressor, demands: Constants) -> None:
        super().__init__(module, suppressor, demands)
        self._counted: Callable[[Iterable[tuple[int, Any]]], list[Any]] = module["counted"]
        self._key_of = attrgetter(*module["KEY"])
        self._columns = deque(attrgetter(attr) for attr in module["KEY"])
        self._enough = module["enough"]
        self._within: int = module["SPAN"]
        self._batches: deque[_Rows] = deque()  # those that the widest frame may reach, oldest first
        self._most = 0  # of all of them
        self._waiting = 0
        self._tried = 0
        self._rest = 0

    def feed(self, batch: Batch, out: list[Hit], *, alone: bool = True) -> None:
        """Take rows in, in event-time order."""
        rows = rows_of(batch, self._demands, alone=alone)
        if not rows:
            return
        first, last = self._time_of(batch.rows[0]), self._time_of(batch.rows[-1])
        self._turn(first)
        self._leave_behind(first)
        most, count = MANY, 0
        if self._rest:
            self._rest -= 1
        else:
            counted = self._counted(rows_of(batch, self._demands, alone=alone))
            if not counted:
                return
            most, count = self._most_of_a_key(counted), len(counted)
        if count and not self._enough(self._most + most):
            self._tried = 0
            self._note(_Rows(last, most, [rows], count))
            return
        if count:
            self._tire()
        self._catch_up()
        self._newest = last
        self._feed(self._states, self._idle, self._suppressor.allows, rows, out)
        self._note(_Rows(last, most))

    def _most_of_a_key(self, rows: list[Any]) -> int:
        """At least as many as of the most frequent key; where that would be enough, exactly so many."""
        most = max(Counter(map(self._columns[0], rows)).values())
        if len(self._columns) == 1 or not self._enough(self._most + most):
            return most
        self._columns.rotate(-1)  # the next batch is asked by another column
        return max(Counter(map(self._key_of, rows)).values())

    def _tire(self) -> None:
        """Where it mostly is enough, counting is a waste."""
        self._tried += 1
        if self._tried == TRIES:
            self._tried, self._rest = 0, REST

    def _note(self, batch: _Rows) -> None:
        self._batches.append(batch)
        self._most += batch.most
        self._waiting += batch.waiting
        if self._waiting > MOST_ROWS:
            self._catch_up()
        if len(self._batches) > MOST_BATCHES:
            self._merge_neighbours()

    def _merge_neighbours(self) -> None:
        """Half as many batches; the older they are the more of them become one. What they add up to stays an upper bound."""
        pairs, newest = zip_longest(*[iter(self._batches)] * 2), self._batches[-1]
        self._batches = deque(
            newest if b is None else _Rows(b.last, a.most + b.most, a.rows + b.rows, a.waiting + b.waiting)
            for a, b in pairs
        )

    def _leave_behind(self, time: int) -> None:
        """No row before ``time`` will come any more: batches that no frame reaches are not needed."""
        batches, since = self._batches, time - self._within
        while batches and batches[0].last < since:
            gone = batches.popleft()
            self._most -= gone.most
            self._waiting -= gone.waiting

    def _catch_up(self) -> None:
        """Put the rows that wait into the windows: they fulfil nothing, whatever the parameters have become since."""
        if not self._waiting:
            return
        for batch in self._batches:
            if batch.waiting:
                for rows in batch.rows:
                    self._feed(self._states, self._idle, _allows_none, rows, [])
                self._newest = max(self._newest, batch.last)
                batch.rows, batch.waiting = [], 0
        self._waiting = 0

    def advance(self, watermark: int, out: list[Hit]) -> None:
        """Forget keys, and rows that wait, that no frame reaches any more."""
        super().advance(watermark, out)
        self._leave_behind(watermark)

    def finish(self, out: list[Hit]) -> None:
        """Nothing waits for an end."""
        super().finish(out)
        self._batches.clear()
        self._most = self._waiting = 0

    def counters(self) -> dict[str, int]:
        """Keys that have windows, rows outside them, matches suppressed."""
        return super().counters() | {"outside": self._waiting}

    def state(self) -> Any:
        """As of a SlidingWindow."""
        self._catch_up()
        return super().state()

    def load(self, state: Any) -> None:
        """The reverse."""
        super().load(state)
        frames = [queue for _, (queues, *_) in state[2] for queue in queues]
        if frames:
            self._note(_Rows(self._newest, max(map(len, frames))))


def _allows_none(_key: Any, _time: int) -> bool:
    return False
