"""Rules whose generated code is the whole loop: filters, and aggregates over sliding frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m1cep.runtime.suppress import plain_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m1cep.codegen.module import Module
    from m1cep.plan.constants import Constants
    from m1cep.runtime.batch import Batch
    from m1cep.runtime.outcome import Hit
    from m1cep.runtime.suppress import Suppressor


class RowFilter:
    """SELECT ... WHERE: every row by itself."""

    def __init__(self, module: Module, suppressor: Suppressor, demands: Constants) -> None:
        self._feed = module["feed"]
        self._suppressor = suppressor
        self._demands = demands

    def feed(self, batch: Batch, out: list[Hit], *, alone: bool = True) -> None:
        """Take rows in."""
        self._feed(self._suppressor.allows, rows_of(batch, self._demands, alone=alone), out)

    def advance(self, watermark: int, _out: list[Hit]) -> None:
        """Nothing waits."""
        self._suppressor.forget(watermark)

    def finish(self, out: list[Hit]) -> None:
        """Nothing is open."""

    def state(self) -> Any:
        """The suppressor's."""
        return self._suppressor.state()

    def load(self, state: Any) -> None:
        """The reverse."""
        self._suppressor.load(state)

    def counters(self) -> dict[str, int]:
        """Matches suppressed."""
        return {"suppressed": self._suppressor.suppressed}


class SlidingWindow:
    """Aggregates OVER a frame: a State a key, dropped once every row of it has left the widest frame.

    With a frame of ROWS, or LAG, no time tells that a key is done with: its state, a bounded number of rows, is kept.
    """

    def __init__(self, module: Module, suppressor: Suppressor, demands: Constants) -> None:
        self._demands = demands
        self._feed = module["feed"]
        self._dump = module["dump"]
        self._revive = module["revive"]
        self._suppressor = suppressor
        self._span: int | None = module["SPAN"]
        self._states: dict[Any, Any] = {}
        self._swept = -1

    def feed(self, batch: Batch, out: list[Hit], *, alone: bool = True) -> None:
        """Take rows in, in event-time order."""
        self._feed(self._states, self._suppressor.allows, rows_of(batch, self._demands, alone=alone), out)

    def advance(self, watermark: int, _out: list[Hit]) -> None:
        """Forget keys that were silent for longer than the widest frame; looked for once a frame, so cheap per event."""
        self._suppressor.forget(watermark)
        if self._span is None or watermark - self._swept <= self._span:
            return
        self._swept = watermark
        silent = watermark - self._span
        states = self._states
        for key in [k for k, s in states.items() if s.last < silent]:
            del states[key]

    def finish(self, _out: list[Hit]) -> None:
        """Nothing waits for an end."""
        self._states.clear()

    def counters(self) -> dict[str, int]:
        """Keys in memory, matches suppressed."""
        return {"keys": len(self._states), "suppressed": self._suppressor.suppressed}

    def state(self) -> Any:
        """Everything that later results depend on, as plain values."""
        return [self._swept, [[key, self._dump(s)] for key, s in self._states.items()], self._suppressor.state()]

    def load(self, state: Any) -> None:
        """Back from plain values, on a fresh operator."""
        self._swept, states, suppressor = state
        self._states = {plain_key(key): self._revive(values) for key, values in states}
        self._suppressor.load(suppressor)


def rows_of(batch: Batch, demands: Constants, *, alone: bool) -> Iterator[tuple[int, Any]]:
    """The rows that may meet the constants that a rule demands; with one rule, looking at all of them is cheaper."""
    found = None if alone else batch.candidates(demands)
    return batch.all() if found is None else batch.at(found)
