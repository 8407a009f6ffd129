"""Interval joins: what waits for a partner, and how long.

Rows come in event-time order, those of both sides in one sequence. With ``lower <= right.time - left.time <= upper`` a left row
at t can pair with right rows in [t + lower, t + upper]; it looks for those that came before it and waits for the others.

    lower -2, upper 3       left at 10:   right  7   8   9   10   11   12   13   14
                                                     └───────────┴──────────────┘
                                                     came before   to be waited for; gone when 13 has passed

A row is dropped when nothing that may still come can pair with it, whether its key is silent or not. The entry of a row is a
tuple: its time, key, event id, the columns that are needed later; of a left row of an outer join also its position.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from m1cep.runtime.merge import END
from m1cep.runtime.outcome import Hit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from m1cep.codegen.module import Module
    from m1cep.plan.constants import Constants
    from m1cep.plan.join import JoinPlan
    from m1cep.runtime.batch import Batch
    from m1cep.runtime.suppress import Suppressor

    Entry = tuple[Any, ...]

_time_of = itemgetter(0)
_COMPACT = 32  # dropped entries at the front of a key's list that are left there before it is moved up


class _Key(list[Any]):
    """The entries of one key, in order of time; those before ``head`` are gone."""

    __slots__ = ("head",)

    def __init__(self, entry: Entry) -> None:
        super().__init__((entry,))
        self.head = 0

    def span(self, low: int, high: int) -> tuple[int, int]:
        """Where the entries with low <= time <= high lie."""
        end = len(self)
        if self[-1][0] > high:
            end = bisect_right(self, high, self.head, key=_time_of)
        return bisect_left(self, low, self.head, end, key=_time_of), end


class Waiting:
    """The entries of one side that may still find a partner: by key, and all in the order in which they will be dropped.

    Args:
        reach: how long after its own time a row may find one; negative when it never has to wait.
    """

    def __init__(self, reach: int) -> None:
        self.reach = reach
        self.order: deque[Entry] = deque()
        self.keys: dict[Any, _Key] = {}

    def keep(self, entry: Entry) -> None:
        """An entry waits from now on."""
        self.order.append(entry)
        key = self.keys.get(entry[1])
        if key is None:
            self.keys[entry[1]] = _Key(entry)
        else:
            key.append(entry)

    def between(self, key: Any, low: int, high: int) -> list[Entry]:
        """The entries of a key with low <= time <= high, in order."""
        found = self.keys.get(key)
        if found is None:
            return []
        start, end = found.span(low, high)
        return found[start:end]

    def drop(self, entry: Entry) -> None:
        """The oldest entry of its key goes."""
        key = self.keys[entry[1]]
        key[key.head] = None
        key.head += 1
        if key.head == len(key):
            del self.keys[entry[1]]
        elif key.head >= _COMPACT and 2 * key.head >= len(key):
            del key[: key.head]
            key.head = 0

    def remove(self, entries: list[Entry]) -> None:
        """Take neighbours of one key out of its list; they stay in ``order`` until their time is over."""
        key = self.keys[entries[0][1]]
        gone = {e[-1] for e in entries}
        start, end = key.span(entries[0][0], entries[-1][0])
        key[start:end] = [e for e in key[start:end] if e[-1] not in gone]
        if key.head == len(key):
            del self.keys[entries[0][1]]


class IntervalJoin:
    """Runs one join over all its keys.

    An outer join remembers in ``_paired`` the positions of waiting left rows that have found a partner. When pairs are no
    alerts (an absence), such a row is not looked at again.
    """

    def __init__(self, module: Module, plan: JoinPlan, suppressor: Suppressor, demands: Constants) -> None:
        self._lower, self._upper = plan.lower, plan.upper
        self._left = Waiting(plan.upper)
        self._right = Waiting(-plan.lower)
        self._outer, self._absence = plan.outer, plan.absence
        self._on = module["on"]
        self._pair = module["pair"]
        self._lone = module["lone"]
        self._suppressor = suppressor
        self._demands = demands
        self._paired: set[int] = set()
        take = (self._take_left_outer, self._take_right_outer) if plan.outer else (self._take_left, self._take_right)
        self._feed = partial(module["feed"], *take)

    def feed(self, batch: Batch, out: list[Hit], *, alone: bool = True) -> None:
        """Take rows in, in event-time order."""
        found = None if alone else batch.candidates(self._demands)
        self._feed(batch.all() if found is None else found, out)

    # an inner join: what pairs is an alert

    def _take_left(self, a: Entry, position: int, out: list[Hit]) -> None:
        time = a[0]
        self._expire(time, out)
        for b in self._right.between(a[1], time + self._lower, time + self._upper):
            self._report(a, b, position, out)
        if self._upper >= 0:
            self._left.keep(a)

    def _take_right(self, b: Entry, position: int, out: list[Hit]) -> None:
        time = b[0]
        self._expire(time, out)
        for a in self._left.between(b[1], time - self._upper, time - self._lower):
            self._report(a, b, position, out)
        if self._lower <= 0:
            self._right.keep(b)

    # an outer join: what does not pair in time may be an alert, too

    def _take_left_outer(self, a: Entry, position: int, out: list[Hit]) -> None:
        time = a[0]
        self._expire(time, out)
        on = self._on
        partners = self._right.between(a[1], time + self._lower, time + self._upper)
        if on is not None:
            partners = [b for b in partners if on(a, b)]
        if not self._absence:
            for b in partners:
                self._report(a, b, position, out)
        if self._upper < 0:
            if not partners:
                self._report_lone(a, time, 1, out)
        elif not partners:
            self._left.keep(a)
        elif not self._absence:
            self._left.keep(a)
            self._paired.add(position)

    def _take_right_outer(self, b: Entry, position: int, out: list[Hit]) -> None:
        time = b[0]
        self._expire(time, out)
        on = self._on
        partners = self._left.between(b[1], time - self._upper, time - self._lower)
        if on is not None:
            partners = [a for a in partners if on(a, b)]
        if partners:
            self._paired.update(a[-1] for a in partners)
            if self._absence:
                self._left.remove(partners)
            else:
                for a in partners:
                    self._report(a, b, position, out)
        if self._lower <= 0:
            self._right.keep(b)

    # reports

    def _report(self, a: Entry, b: Entry, position: int, out: list[Hit]) -> None:
        """A pair, if WHERE takes it. The alert's id comes of left and right in this order: joined with itself, a stream may
        have the same two rows as a pair twice.
        """
        row = self._pair(a, b)
        if row is None:
            return
        time = max(a[0], b[0])
        if self._suppressor.allows(a[1], time):
            ids = [a[2], b[2]]
            if a[0] <= b[0]:
                out.append(Hit(time, 1, position, a[1], row, time, ids))
            else:
                out.append(Hit(time, 1, position, a[1], row, time, ids[::-1], ids))

    def _report_lone(self, a: Entry, time: int, by_row: int, out: list[Hit]) -> None:
        row = self._lone(a)
        if row is not None and self._suppressor.allows(a[1], time):
            out.append(Hit(time, by_row, a[-1], a[1], row, time, [a[2]]))

    # time

    def _expire(self, now: int, out: list[Hit]) -> None:
        """Drop what no row from ``now`` on can pair with; of an outer join report it, if it is alone."""
        left, right = self._left, self._right
        order, oldest = right.order, now - right.reach
        while order and order[0][0] < oldest:
            right.drop(order.popleft())
        order, oldest = left.order, now - left.reach
        while order and order[0][0] < oldest:
            a = order.popleft()
            if not self._outer:
                left.drop(a)
            elif a[-1] in self._paired:
                self._paired.remove(a[-1])
                if not self._absence:
                    left.drop(a)
            else:
                left.drop(a)
                self._report_lone(a, a[0] + self._upper + 1, 0, out)

    def advance(self, watermark: int, out: list[Hit]) -> None:
        """Drop what can find no partner any more, also of keys that are silent."""
        self._expire(watermark, out)
        self._suppressor.forget(watermark)  # after that: time-outs lie before the watermark

    def finish(self, out: list[Hit]) -> None:
        """No partner will come any more."""
        self._expire(END, out)

    def counters(self) -> dict[str, int]:
        """Rows that wait, keys that they have, matches suppressed."""
        gone = len(self._paired) if self._absence else 0
        return {
            "waiting": len(self._left.order) + len(self._right.order) - gone,
            "keys": len(self._left.keys.keys() | self._right.keys.keys()),
            "suppressed": self._suppressor.suppressed,
        }

    # snapshot

    def state(self) -> dict[str, Any]:
        """All that waits, as plain values."""
        left: Iterable[Entry] = self._left.order
        if self._absence:
            left = (a for a in left if a[-1] not in self._paired)
        return {
            "left": list(left),
            "right": list(self._right.order),
            "paired": [] if self._absence else sorted(self._paired),
            "suppressor": self._suppressor.state(),
        }

    def load(self, state: Any) -> None:
        """Take over what another instance of the same rule gave as its state."""
        for side, entries in ((self._left, state["left"]), (self._right, state["right"])):
            for time, key, *rest in entries:
                side.keep((time, tuple(key) if isinstance(key, list) else key, *rest))
        self._paired = set(state["paired"])
        self._suppressor.load(state["suppressor"])
