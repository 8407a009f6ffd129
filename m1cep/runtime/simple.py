"""Rules whose generated code is the whole loop: filters, and aggregates over sliding frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m1cep.runtime.suppress import plain_key

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        self._time_of = module["time_of"]
        self._span: int | None = module["SPAN"]
        self._states: dict[Any, Any] = {}
        self._idle: dict[Any, Any] = {}  # states of keys without a row since the last turn
        self._turned = -1
        self._newest = -1  # event time of the newest row

    def feed(self, batch: Batch, out: list[Hit], *, alone: bool = True) -> None:
        """Take rows in, in event-time order."""
        rows = rows_of(batch, self._demands, alone=alone)
        if not rows:
            return
        self._turn(self._time_of(batch.rows[0]))
        self._newest = self._time_of(batch.rows[-1])
        self._feed(self._states, self._idle, self._suppressor.allows, rows, out)

    def advance(self, watermark: int, _out: list[Hit]) -> None:
        """Forget keys that were silent for longer than the widest frame."""
        self._suppressor.forget(watermark)
        self._turn(watermark)

    def _turn(self, time: int) -> None:
        """No row before ``time`` will come any more. Once a frame, drop the keys without a row since the turn before: no key is
        looked at for it.
        """
        if self._span is None or time - self._turned <= self._span:
            return
        self._turned = time
        self._idle = self._states if time - self._newest <= self._span else {}
        self._states = {}

    def finish(self, _out: list[Hit]) -> None:
        """Nothing waits for an end."""
        self._states.clear()
        self._idle.clear()

    def counters(self) -> dict[str, int]:
        """Keys in memory, matches suppressed."""
        return {"keys": len(self._states) + len(self._idle), "suppressed": self._suppressor.suppressed}

    def state(self) -> Any:
        """Everything that later results depend on, as plain values."""
        keys = [[key, self._dump(s)] for states in (self._idle, self._states) for key, s in states.items()]
        return [self._turned, self._newest, keys, self._suppressor.state()]

    def load(self, state: Any) -> None:
        """Back from plain values, on a fresh operator."""
        self._turned, self._newest, keys, suppressor = state
        self._states = {plain_key(key): self._revive(values) for key, values in keys}
        self._suppressor.load(suppressor)


def rows_of(batch: Batch, demands: Constants, *, alone: bool) -> Iterable[tuple[int, Any]]:
    """The rows that may meet the constants that a rule demands; with one rule, looking at all of them is cheaper."""
    found = None if alone else batch.candidates(demands)
    return batch.all() if found is None else found
