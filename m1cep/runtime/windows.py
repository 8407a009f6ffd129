"""Group windows: rows of a key between two points of event time become one result when the watermark reaches the second.

Rows come in event-time order, so a row at t says, as a watermark t does, that every window that ends at or before t is complete.
TUMBLE, CUMULATE and SESSION are here, HOP in ``runtime.hopping``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from m1cep.model.alert import MAX_EVENT_IDS, clip_event_ids
from m1cep.runtime.outcome import Hit
from m1cep.runtime.simple import rows_of
from m1cep.runtime.suppress import plain_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.codegen.module import Module
    from m1cep.plan.constants import Constants
    from m1cep.plan.plans import WindowShape
    from m1cep.runtime.batch import Batch
    from m1cep.runtime.suppress import Suppressor

    Groups = dict[Any, Any]  # group key -> the generated Group, in order of the key's first row

_START = -(2**63)


MANY_IDS = 2 * MAX_EVENT_IDS  # that a group collects before those are dropped that no alert names


def thin(ids: list[str]) -> None:
    """Drop the ids between the oldest and the newest half of those that an alert names."""
    del ids[MAX_EVENT_IDS // 2 : -(MAX_EVENT_IDS // 2)]


class Windows:
    """What both kinds of windows share: from groups to hits, and to plain values and back."""

    def __init__(self, module: Module, shape: WindowShape, suppressor: Suppressor, demands: Constants) -> None:
        self.shape = shape
        self._feed = module["feed"]
        self._result = module["result"]
        self.merge = module["merge"]
        self.group = module["Group"]
        self.suppressor = suppressor
        self._demands = demands

    def feed(self, batch: Batch, out: list[Hit], *, alone: bool = True) -> None:
        """Take rows in, in event-time order."""
        self._feed(self, rows_of(batch, self._demands, alone=alone), out)

    def emit(
        self, key: Any, group: Any, panes: Sequence[Any], start: int, end: int, decided: int, out: list[Hit]
    ) -> None:
        """Report a window's group, whose rows are those of ``panes``, if its HAVING is true."""
        row = self._result(group, key, start, end)
        if row is None or not self.suppressor.allows(key, end - 1):
            return
        ids = clip_event_ids([event_id for pane in panes for event_id in pane.ids])
        identity = ["window", str(start), str(end)]
        out.append(Hit(decided, 0, panes[0].first, key, row, end - 1, ids, identity))

    def dump(self, groups: Groups) -> list[Any]:
        """Groups as plain values."""
        return [[key, [_plain(getattr(g, name)) for name in g.__slots__]] for key, g in groups.items()]

    def revive(self, state: Sequence[Any]) -> Groups:
        """Groups back from plain values."""
        groups: Groups = {}
        for key, values in state:
            group = groups[plain_key(key)] = self.group()
            for name, value in zip(group.__slots__, values, strict=True):
                held = getattr(group, name)
                if hasattr(held, "load"):
                    held.load(value)
                else:
                    setattr(group, name, dict.fromkeys(value) if isinstance(held, dict) else value)
        return groups


class Aligned(Windows, ABC):
    """Windows that begin and end at the same times for all keys. Rows go into ``groups`` until ``due``."""

    def __init__(self, module: Module, shape: WindowShape, suppressor: Suppressor, demands: Constants) -> None:
        super().__init__(module, shape, suppressor, demands)
        self.groups: Groups = {}
        self.due = _START

    def turn(self, time: int, out: list[Hit]) -> None:
        """No row before ``time`` will come any more, and ``time`` is not before ``due``."""
        while self.due <= time and self.is_open():
            self.close(self.due, out)
            self.due = self.boundary(self.due)
        if self.due <= time:
            self.due = self.boundary(time)

    @abstractmethod
    def is_open(self) -> bool:
        """Whether some window has a row."""

    @abstractmethod
    def close(self, end: int, out: list[Hit]) -> None:
        """All rows before ``end`` are there."""

    def boundary(self, time: int) -> int:
        """The first start or end of a window after ``time``."""
        slide, size, offset = self.shape.slide, self.shape.size, self.shape.offset
        start = time - (time - offset) % slide + slide
        if size % slide == 0:
            return start
        return min(start, time - (time - offset - size) % slide + slide)

    def advance(self, watermark: int, out: list[Hit]) -> None:
        """Report the windows that ended at or before the watermark."""
        if watermark >= self.due:
            self.turn(watermark, out)
        self.suppressor.forget(watermark)

    def finish(self, out: list[Hit]) -> None:
        """Report every open window, as if its time had come."""
        while self.is_open():
            self.turn(self.due, out)


class GrowingWindows(Aligned):
    """TUMBLE and CUMULATE: windows that begin together and grow step by step; one step of TUMBLE is the whole window."""

    def is_open(self) -> bool:
        """Whether some window has a row."""
        return bool(self.groups)

    def close(self, end: int, out: list[Hit]) -> None:
        """Report what the windows that end here have; those that go on keep it."""
        size, offset = self.shape.size, self.shape.offset
        start = end - 1 - (end - 1 - offset) % size
        for key, group in self.groups.items():
            self.emit(key, group, (group,), start, end, end, out)
        if end == start + size:
            self.groups = {}

    def counters(self) -> dict[str, int]:
        """Groups in memory, matches suppressed."""
        return {"groups": len(self.groups), "suppressed": self.suppressor.suppressed}

    def state(self) -> Any:
        """Everything that later results depend on, as plain values."""
        return [self.due, self.dump(self.groups), self.suppressor.state()]

    def load(self, state: Any) -> None:
        """Back from plain values, on a fresh operator."""
        self.due, groups, suppressor = state
        self.groups = self.revive(groups)
        self.suppressor.load(suppressor)


class _Session:
    """An open session."""

    __slots__ = ("groups", "last", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.last = start
        self.groups: Groups = {}


class SessionWindows(Windows):
    """SESSION: for each value of the session's key, rows of which each comes within the gap after the one before.

    A session is over when its last row is more than the gap ago: a row exactly a gap later still belongs to it, as in Flink.
    """

    def __init__(self, module: Module, shape: WindowShape, suppressor: Suppressor, demands: Constants) -> None:
        super().__init__(module, shape, suppressor, demands)
        self._sessions: OrderedDict[Any, _Session] = OrderedDict()  # by time of the last row

    def session(self, key: Any, time: int, out: list[Hit]) -> Groups:
        """The groups of the session that a row at ``time`` belongs to."""
        session = self._sessions.get(key)
        if session is not None and time - session.last > self.shape.size:
            self._report(self._sessions.pop(key), out)
            session = None
        if session is None:
            session = self._sessions[key] = _Session(time)
        elif time > session.last:
            session.last = time
            self._sessions.move_to_end(key)
        return session.groups

    def advance(self, watermark: int, out: list[Hit]) -> None:
        """Report the sessions that no row can prolong any more."""
        self.suppressor.forget(watermark)
        while self._sessions:
            session = next(iter(self._sessions.values()))
            if watermark - session.last <= self.shape.size:
                return
            self._sessions.popitem(last=False)
            self._report(session, out)

    def finish(self, out: list[Hit]) -> None:
        """Report every open session."""
        while self._sessions:
            self._report(self._sessions.popitem(last=False)[1], out)

    def _report(self, session: _Session, out: list[Hit]) -> None:
        end = session.last + self.shape.size
        for key, group in session.groups.items():
            self.emit(key, group, (group,), session.start, end, end + 1, out)

    def counters(self) -> dict[str, int]:
        """Groups in open sessions, matches suppressed."""
        groups = sum(len(s.groups) for s in self._sessions.values())
        return {"groups": groups, "suppressed": self.suppressor.suppressed}

    def state(self) -> Any:
        """Everything that later results depend on, as plain values."""
        sessions = [[key, s.start, s.last, self.dump(s.groups)] for key, s in self._sessions.items()]
        return [sessions, self.suppressor.state()]

    def load(self, state: Any) -> None:
        """Back from plain values, on a fresh operator."""
        sessions, suppressor = state
        for key, start, last, groups in sessions:
            session = self._sessions[plain_key(key)] = _Session(start)
            session.last = last
            session.groups = self.revive(groups)
        self.suppressor.load(suppressor)


def _plain(value: Any) -> Any:
    if hasattr(value, "state"):
        return value.state()
    return list(value) if isinstance(value, dict) else value
