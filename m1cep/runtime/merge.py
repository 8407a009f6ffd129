"""Event time: rows of one or several streams in one order, behind the watermark.

Each stream says how late its events may be. A row is *late* when it is older than its own stream's watermark (the highest time
seen less the delay); that depends on the stream's order alone, not on how streams interleave. The merge lets rows go once no
stream can bring an older one.

    one stream, delay 3      time seen    5   9   7   6   5
                             watermark    2   6   6   6   6
                                          ok  ok  ok  ok  late        rows go in the order 5 | 6 7 9 ...

A stream that is *idle* (read to its end) does not hold the others back. When it then brings rows older than what has gone, they
are late too, with the reason ``idle``. When all are silent, only somebody with a clock can say that time goes on (``advance``);
rows older than that are late with the reason ``silence``.
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
    reason: str  # late | idle | silence


@dataclass(slots=True)
class _Input:
    time_of: Callable[[Any], int]
    delay: int
    highest: int = START
    floor: int = START  # somebody has promised that nothing older comes
    idle: bool = False
    ended: bool = False
    waiting: list[Any] = field(default_factory=list)  # rows of the rule source, not let go yet
    in_order: bool = True  # ``waiting`` is in order of time

    @property
    def watermark(self) -> int:
        if self.ended:
            return END
        return self.highest if self.idle else max(self.highest - self.delay, self.floor)


@dataclass
class Merge:
    """Merges the rows of one rule source.

    Attributes:
        gone: the watermark up to which the streams have let rows go.
        silent: the time up to which somebody has promised that nothing older comes.
    """

    streams: Sequence[Stream]
    time_attr: str
    gone: int = START
    silent: int = START
    _inputs: dict[str, _Input] = field(init=False)

    def __post_init__(self) -> None:
        self._inputs = {s.name: _Input(attrgetter(s.time_attr), s.delay) for s in self.streams}
        self._time_of: Callable[[Any], int] = attrgetter(self.time_attr)

    def take(self, stream: str, rows: list[Any], convert: Callable[[Sequence[Any]], list[Any]] | None) -> list[LateRow]:
        """Take rows of a stream in; ``convert`` makes them rows of the view. Late ones are returned, not taken."""
        source = self._inputs[stream]
        source.idle = False
        times = list(map(source.time_of, rows))
        late: list[LateRow] = []
        if not times:
            return late
        if times[0] >= max(source.highest, self.gone, self.silent) and sorted(times) == times:
            source.highest = times[-1]
        else:
            rows, late = self._sift(source, rows, times)
            source.in_order = False
        source.waiting.extend(rows if convert is None else convert(rows))
        return late

    def _sift(self, source: _Input, rows: list[Any], times: list[int]) -> tuple[list[Any], list[LateRow]]:
        """Row by row: what is late, and the highest time."""
        kept: list[Any] = []
        late: list[LateRow] = []
        highest, delay, gone, silent = source.highest, source.delay, self.gone, self.silent
        for i, (row, time) in enumerate(zip(rows, times, strict=True)):
            highest = max(highest, time)
            if time < highest - delay:
                late.append(LateRow(i, row, time, highest - delay, "late"))
            elif time < gone:
                late.append(LateRow(i, row, time, gone, "idle"))
            elif time < silent:
                late.append(LateRow(i, row, time, silent, "silence"))
            else:
                kept.append(row)
        source.highest = highest
        return kept, late

    def idle(self, stream: str) -> None:
        """The stream is read to its end for now."""
        self._inputs[stream].idle = True

    def wake(self, stream: str) -> None:
        """The stream may bring rows: until then nothing goes that may come after them."""
        self._inputs[stream].idle = False

    def reach(self, stream: str, time: int) -> None:
        """The stream has come to ``time``, as if it had brought a row of that time."""
        source = self._inputs[stream]
        source.idle = False
        source.highest = max(source.highest, time)

    def promise(self, stream: str, time: int) -> None:
        """The stream will bring nothing older than ``time``; if it does all the same, that is late as of an idle stream."""
        source = self._inputs[stream]
        source.floor = max(source.floor, time)

    def end(self, stream: str) -> None:
        """The stream will bring nothing more."""
        self._inputs[stream].ended = True

    def begin_at(self, stream: str, other: Merge) -> None:
        """The stream is as far as another merge has heard."""
        ours, theirs = self._inputs[stream], other._inputs[stream]
        ours.highest, ours.floor = max(ours.highest, theirs.highest), max(ours.floor, theirs.floor)
        ours.idle, ours.ended = theirs.idle, theirs.ended

    def advance(self, time: int) -> None:
        """No stream will bring a row older than ``time``, which need not be a time that any has brought."""
        self.silent = max(self.silent, time)

    @property
    def newest(self) -> int | None:
        """The highest time that a stream has brought, or that was promised; None before the first."""
        newest = max(self.silent, *(i.highest for i in self._inputs.values()))
        return None if newest == START else newest

    def watermark_of(self, stream: str) -> int | None:
        """The time before which a stream brings nothing more that is not late; of an idle one, where the others are."""
        source = self._inputs[stream]
        own = max((i.highest for i in self._inputs.values()), default=START) if source.idle else source.watermark
        reached = max(own, self.silent)
        return None if reached in (START, END) or source.highest == START else reached

    def waiting(self, stream: str) -> int:
        """Rows of a stream that wait for others, which are behind it; 0 when it is itself one of those that all wait for.

        Who reads the streams may leave one with many such rows unread for a while: there always is another that is not.
        """
        source = self._inputs[stream]
        alone = source.idle or source.ended or source.watermark <= self._watermark()
        return 0 if alone else len(source.waiting)

    def release(self) -> tuple[list[Any], int]:
        """The rows that may go, in order, and the watermark: no row before it will come any more.

        With one stream a row at the watermark may go at once: whatever comes at the same time comes after it. With several it
        waits for the others, whose rows of the same time may belong before it, unless all of them are idle.
        """
        self.gone = max(self.gone, self._watermark())
        watermark = max(self.gone, self.silent)
        inputs = self._inputs.values()
        wait = len(inputs) > 1 and any(not i.idle for i in inputs)
        bisect = bisect_left if wait else bisect_right
        parts = [part for i in inputs if i.waiting and (part := self._let_go(i, watermark, bisect))]
        if len(parts) <= 1:
            return (parts[0] if parts else []), watermark
        rows = [row for part in parts for row in part]
        rows.sort(key=self._time_of)  # stable: at equal times as the streams are listed, and within one as they came
        return rows, watermark

    def _let_go(self, source: _Input, watermark: int, bisect: Callable[..., int]) -> list[Any]:
        """The rows of one stream up to the watermark, in order."""
        waiting = source.waiting
        if not source.in_order:
            waiting.sort(key=self._time_of)
            source.in_order = True
        cut = bisect(waiting, watermark, key=self._time_of)
        if cut == len(waiting):
            source.waiting = []
            return waiting
        source.waiting = waiting[cut:]
        return waiting[:cut]

    def state(self) -> Any:
        """Watermarks, and the rows that wait."""
        inputs = {
            name: [i.highest, i.floor, i.idle, i.ended, msgspec.msgpack.encode(i.waiting)]
            for name, i in self._inputs.items()
        }
        return [self.gone, self.silent, inputs]

    def load(self, state: Any, row_type: type[msgspec.Struct]) -> None:
        """The reverse."""
        self.gone, self.silent, inputs = state
        for name, (highest, floor, idle, ended, rows) in inputs.items():
            found = self._inputs[name]
            found.highest, found.floor, found.idle, found.ended = highest, floor, idle, ended
            found.waiting = msgspec.msgpack.decode(rows, type=list[row_type])  # type: ignore[valid-type]  # made at run time
            found.in_order = False

    def _watermark(self) -> int:
        inputs = self._inputs.values()
        active = [i.watermark for i in inputs if not i.idle or i.ended]
        return min(active) if active else max(i.highest for i in inputs)
