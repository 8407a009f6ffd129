"""Event time: rows of one or several streams in one order, behind the watermark.

Each stream says how late its events may be. A row is *late* when it is older than its own stream's watermark (the highest time
seen less the delay); that depends on the stream's order alone, not on how streams interleave. The merge lets rows go once no
stream can bring an older one.

    one stream, delay 3      time seen    5   9   7   6   5
                             watermark    2   6   6   6   6
                                          ok  ok  ok  ok  late        rows go in the order 5 | 6 7 9 ...

A stream that is *idle* (read to its end) does not hold the others back. When it then brings rows older than what has gone, they
are late too, with the reason ``idle``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from m1cep.model.stream import Stream

START = -(2**63)
END = 2**63 - 1


@dataclass(frozen=True, slots=True)
class LateRow:
    """A row that came too late: its index among those pushed, the watermark it missed, and why."""

    index: int
    row: Any
    time: int
    watermark: int
    reason: str  # late | idle


@dataclass(slots=True)
class _Input:
    time_of: Callable[[Any], int]
    delay: int
    order: int
    highest: int = START
    idle: bool = False
    ended: bool = False

    @property
    def watermark(self) -> int:
        if self.ended:
            return END
        return self.highest if self.idle else max(self.highest - self.delay, START)


@dataclass
class Merge:
    """Merges the rows of one rule source. ``gone`` is the watermark up to which rows have been let go."""

    streams: Sequence[Stream]
    time_attr: str
    gone: int = START
    _inputs: dict[str, _Input] = field(init=False)
    _waiting: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._inputs = {s.name: _Input(attrgetter(s.time_attr), s.delay, n) for n, s in enumerate(self.streams)}
        self._time_of: Callable[[Any], int] = attrgetter(self.time_attr)
        self._alone = len(self._inputs) == 1

    def take(self, stream: str, rows: list[Any], convert: Callable[[Sequence[Any]], list[Any]] | None) -> list[LateRow]:
        """Take rows of a stream in; ``convert`` makes them rows of the view. Late ones are returned, not taken."""
        source = self._inputs[stream]
        source.idle = False
        times = list(map(source.time_of, rows))
        late: list[LateRow] = []
        if not times:
            return late
        if times[0] >= source.highest and times[0] >= self.gone and sorted(times) == times:
            source.highest = times[-1]
        else:
            rows, late = self._sift(source, rows, times)
        fresh = convert(rows) if convert is not None else rows
        if self._alone:
            self._waiting = self._waiting + fresh if self._waiting else fresh
        else:
            self._waiting.extend((self._time_of(row), source.order, row) for row in fresh)
        return late

    def _sift(self, source: _Input, rows: list[Any], times: list[int]) -> tuple[list[Any], list[LateRow]]:
        """Row by row: what is late, and the highest time."""
        kept: list[Any] = []
        late: list[LateRow] = []
        highest, delay, gone = source.highest, source.delay, self.gone
        for i, (row, time) in enumerate(zip(rows, times, strict=True)):
            highest = max(highest, time)
            if time < highest - delay:
                late.append(LateRow(i, row, time, highest - delay, "late"))
            elif time < gone:
                late.append(LateRow(i, row, time, gone, "idle"))
            else:
                kept.append(row)
        source.highest = highest
        return kept, late

    def idle(self, stream: str) -> None:
        """The stream is read to its end for now."""
        self._inputs[stream].idle = True

    def end(self, stream: str) -> None:
        """The stream will bring nothing more."""
        self._inputs[stream].ended = True

    def release(self) -> tuple[list[Any], int]:
        """The rows that may go, in order, and the watermark: no row before it will come any more."""
        watermark = self._watermark()
        self.gone = max(self.gone, watermark)
        waiting = self._waiting
        if not waiting:
            return [], self.gone
        if self._alone:
            return self._release_alone(waiting)
        waiting.sort(key=_time_and_order)  # stable: rows of one stream keep their order at equal times
        cut = bisect_left(
            waiting, self.gone if any(not i.idle for i in self._inputs.values()) else self.gone + 1, key=_first
        )
        self._waiting = waiting[cut:]
        return [row for _, _, row in waiting[:cut]], self.gone

    def _release_alone(self, waiting: list[Any]) -> tuple[list[Any], int]:
        """With one stream a row at the watermark may go at once: whatever comes at the same time comes after it."""
        if next(iter(self._inputs.values())).delay:
            waiting.sort(key=self._time_of)
        cut = bisect_right(waiting, self.gone, key=self._time_of)
        if cut == len(waiting):
            self._waiting = []
            return waiting, self.gone
        self._waiting = waiting[cut:]
        return waiting[:cut], self.gone

    def state(self) -> Any:
        """Watermarks, and the rows that wait."""
        inputs = {name: [i.highest, i.idle, i.ended] for name, i in self._inputs.items()}
        rows = self._waiting if self._alone else [row for _, _, row in self._waiting]
        orders = [] if self._alone else [order for _, order, _ in self._waiting]
        return [self.gone, inputs, orders, msgspec.msgpack.encode(rows)]

    def load(self, state: Any, row_type: type[msgspec.Struct]) -> None:
        """The reverse."""
        self.gone, inputs, orders, rows = state
        for name, (highest, idle, ended) in inputs.items():
            found = self._inputs[name]
            found.highest, found.idle, found.ended = highest, idle, ended
        self._waiting = msgspec.msgpack.decode(rows, type=list[row_type])  # type: ignore[valid-type]  # made at run time
        if not self._alone:
            self._waiting = [(self._time_of(r), o, r) for o, r in zip(orders, self._waiting, strict=True)]

    def _watermark(self) -> int:
        inputs = self._inputs.values()
        active = [i.watermark for i in inputs if not i.idle or i.ended]
        return min(active) if active else max(i.highest for i in inputs)


def _first(entry: tuple[int, int, Any]) -> int:
    return entry[0]


def _time_and_order(entry: tuple[int, int, Any]) -> tuple[int, int]:
    return entry[0], entry[1]
