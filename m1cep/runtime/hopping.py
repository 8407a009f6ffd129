"""HOP: windows that overlap. Their rows are kept by pane, and panes are summed without adding any of them for every window.

size 3, slide 2     time       0   1   2   3   4   5   6
                    windows    [-----------)
                                       [-----------)
                    panes      |-------|---|---|---|---      between all starts and ends of windows

Rows of an open pane are in ``groups``; when it ends, each key takes over its own.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from m1cep.runtime.windows import Aligned

if TYPE_CHECKING:
    from m1cep.codegen.module import Module
    from m1cep.plan.constants import Constants
    from m1cep.plan.plans import WindowShape
    from m1cep.runtime.outcome import Hit
    from m1cep.runtime.suppress import Suppressor


class _Panes:
    """A key's panes in HOP's open windows, and what makes their sum cheap.

    ``back`` is the sum of the newest panes. ``front`` has, for each older one, the sum from it to the newest of the older ones,
    the oldest last. A pane that leaves takes its sum along; when ``front`` is used up, ``back`` becomes it. So a pane is added
    three times in its life, however many windows it is in, and nothing is ever subtracted.
    """

    __slots__ = ("back", "ends", "front", "panes")

    def __init__(self) -> None:
        self.panes: deque[Any] = deque()  # groups, oldest first
        self.ends: deque[int] = deque()  # of the panes
        self.front: list[Any] = []
        self.back: Any = None


class HoppingWindows(Aligned):
    """HOP: overlapping windows, made of panes between all their starts and ends."""

    def __init__(self, module: Module, shape: WindowShape, suppressor: Suppressor, demands: Constants) -> None:
        super().__init__(module, shape, suppressor, demands)
        self._keys: dict[Any, _Panes] = {}

    def is_open(self) -> bool:
        """Whether some window has a row."""
        return bool(self.groups or self._keys)

    def close(self, end: int, out: list[Hit]) -> None:
        """A pane ends, and perhaps a window."""
        size, slide, offset = self.shape.size, self.shape.slide, self.shape.offset
        for key, group in self.groups.items():
            of_key = self._keys.get(key)
            if of_key is None:
                of_key = self._keys[key] = _Panes()
            self._add(of_key, end, group)
        self.groups = {}
        start = end - size
        if (start - offset) % slide:
            return  # here a window begins, and none ends
        silent = []
        for key, of_key in self._keys.items():
            ends = of_key.ends
            while ends and ends[0] <= start:
                self._drop(of_key)
            if ends:
                self.emit(key, self._sum(of_key), of_key.panes, start, end, end, out)
            if not ends or ends[-1] <= start + slide:
                silent.append(key)
        for key in silent:
            del self._keys[key]

    def _add(self, of_key: _Panes, end: int, group: Any) -> None:
        of_key.panes.append(group)
        of_key.ends.append(end)
        of_key.back = group if of_key.back is None else self._merged(of_key.back, group)

    def _drop(self, of_key: _Panes) -> None:
        """The oldest pane leaves."""
        if not of_key.front:
            total = None
            for group in reversed(of_key.panes):
                total = group if total is None else self._merged(group, total)
                of_key.front.append(total)
            of_key.back = None
        of_key.front.pop()
        of_key.panes.popleft()
        of_key.ends.popleft()

    def _sum(self, of_key: _Panes) -> Any:
        if not of_key.front:
            return of_key.back
        return of_key.front[-1] if of_key.back is None else self._merged(of_key.front[-1], of_key.back)

    def _merged(self, older: Any, newer: Any) -> Any:
        total = self.group()
        self.merge(total, older)
        self.merge(total, newer)
        return total

    def counters(self) -> dict[str, int]:
        """Groups in memory (keys by pane), matches suppressed."""
        groups = len(self.groups) + sum(len(of_key.panes) for of_key in self._keys.values())
        return {"groups": groups, "suppressed": self.suppressor.suppressed}

    def state(self) -> Any:
        """Everything that later results depend on, as plain values: not the sums, which do not show how they came about."""
        panes = [
            [end, self.dump({key: group})]
            for key, of_key in self._keys.items()
            for end, group in zip(of_key.ends, of_key.panes, strict=True)
        ]
        return [self.due, self.dump(self.groups), panes, self.suppressor.state()]

    def load(self, state: Any) -> None:
        """Back from plain values, on a fresh operator."""
        self.due, groups, panes, suppressor = state
        self.groups = self.revive(groups)
        for end, dumped in panes:
            for key, group in self.revive(dumped).items():
                self._add(self._keys.setdefault(key, _Panes()), end, group)
        self.suppressor.load(suppressor)
