"""A history as the prices that a backtest walks along: whole ticks, in the order in which they are taken to have come."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from m1cep.errors import GridError
from m1cep.grid.plan.history import History, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from m1cep.grid.orders import Market

UNLIMITED = 1 << 200  # lots, where nobody knows how much was traded
MANY = 1 << 62  # lots in an array, for as many or more
_LARGEST_TICKS = 1 << 53  # beyond, a float is no exact number of ticks any more


@dataclass(frozen=True, slots=True)
class Path:
    """Points, ``per_row`` of them for each row of the history: a trade is one, a candle four.

    Attributes:
        time_ms, ticks: of each point. The four of a candle are its open, the extreme against its direction, the other extreme
            and its close (see ``History.path``), a third of the candle's time apart.
        low, high: of each row, in ticks.
        lots: traded in each row, at most ``MANY``; None: not known.
    """

    kind: Kind
    per_row: int
    time_ms: Sequence[int]
    ticks: Sequence[int]
    low: Sequence[int]
    high: Sequence[int]
    lots: Sequence[int] | None

    @property
    def rows(self) -> int:
        """Of the history."""
        return len(self.low)


def path_of(history: History, market: Market) -> Path:
    """The path of a history; prices are rounded to the nearest tick.

    Raises:
        GridError: the tick is larger than the lowest price, or too fine for the highest.
    """
    tick = float(market.tick)
    low, high, ticks = (np.rint(column / tick) for column in (history.low, history.high, history.path))
    if low.min() < 1 or high.max() > _LARGEST_TICKS:
        raise GridError(
            f"expected prices from 1 to {_LARGEST_TICKS} ticks, got {history.low.min():g} to {history.high.max():g} with "
            f"a tick of {market.tick:f}"
        )
    trades = history.kind is Kind.TRADES
    return Path(
        kind=history.kind,
        per_row=1 if trades else 4,
        time_ms=_integers(history.time_ms if trades else _candle_times(history.time_ms)),
        ticks=_integers(ticks),
        low=_integers(low),
        high=_integers(high),
        lots=_lots(history, float(market.lot)),
    )


def _candle_times(begin_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """A candle's time is when it begins; it ends with the next one, but before a gap it is no longer than others."""
    apart = np.diff(begin_ms)
    usual = int(np.median(apart))
    long = np.minimum(np.append(apart, usual), usual)
    return np.column_stack([begin_ms + long * third // 3 for third in range(4)]).ravel()


def _lots(history: History, lot: float) -> array[int] | None:
    volume = history.volume
    if volume is None or not volume.any():  # foreign exchange: a column of zeros, as nobody counts
        return None
    # A float may lie a little below the whole number that it was written as.
    return _integers(np.minimum(np.floor(volume / lot * (1 + 1e-12)), MANY))


def _integers(column: NDArray[Any]) -> array[int]:
    """As Python's own array: a fifth of a list's memory, and read one by one faster than numpy's."""
    return array("q", column.astype(np.int64).tobytes())
