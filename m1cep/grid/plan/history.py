"""What a market did: trades or candles, checked before anything is computed from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from m1cep.errors import GridError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MIN_ROWS = 50
MAX_GAP_CANDLES = 5  # intervals between two candles, unless told otherwise
MAX_GAP_SHARE = 10  # of trades: a tenth of the history, unless told otherwise


class Kind(StrEnum):
    """Of what a history is made."""

    TRADES = "trades"
    CANDLES = "candles"


@dataclass(frozen=True)
class History:
    """Prices over time, oldest first; made by :meth:`of_trades` or :meth:`of_candles`, which check them.

    Attributes:
        time_ms: of each row, epoch; several trades may have the same.
        open, high, low, close: in quote a base unit; of a trade all four are its price.
        volume: in base, or None where it is not known.
    """

    kind: Kind
    time_ms: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats | None = None

    @classmethod
    def of_trades(cls, rows: Sequence[tuple[int, float | Decimal, float | Decimal]]) -> History:
        """From (time_ms, price, quantity), oldest first.

        Raises:
            GridError: too few rows, times that go back, prices or quantities that cannot be.
        """
        time_ms, price, volume = zip(*rows, strict=True) if rows else ((), (), ())
        return cls.from_columns(Kind.TRADES, time_ms, [price] * 4, volume)

    @classmethod
    def of_candles(cls, rows: Sequence[tuple[int, float, float, float, float]]) -> History:
        """From (time_ms, open, high, low, close), oldest first.

        Raises:
            GridError: too few rows, times that do not go forward, prices that cannot be.
        """
        time_ms, *prices = zip(*rows, strict=True) if rows else ((), (), (), (), ())
        return cls.from_columns(Kind.CANDLES, time_ms, prices)

    @classmethod
    def from_columns(
        cls, kind: Kind, time_ms: ArrayLike, prices: Sequence[ArrayLike], volume: ArrayLike | None = None
    ) -> History:
        """From columns; ``prices`` are open, high, low, close.

        Raises:
            GridError: as above.
        """
        first, high, low, close = (np.asarray(column, dtype=np.float64) for column in prices)
        sizes = None if volume is None else np.asarray(volume, dtype=np.float64)
        history = cls(kind, np.asarray(time_ms, dtype=np.int64), first, high, low, close, sizes)
        history._check()
        return history

    def __len__(self) -> int:
        return len(self.time_ms)

    @property
    def span_ms(self) -> int:
        """From the first row to the last."""
        return int(self.time_ms[-1] - self.time_ms[0])

    @property
    def last(self) -> float:
        """The newest price."""
        return float(self.close[-1])

    @cached_property
    def path(self) -> Floats:
        """Prices in the order they are taken to have come.

        A candle does not tell whether its high or its low came first. The one against its direction is taken to: one that closes
        above its open went from there to the low, the high and the close.
        """
        if self.kind is Kind.TRADES:
            return self.close
        rises = self.close >= self.open
        first, second = np.where(rises, self.low, self.high), np.where(rises, self.high, self.low)
        return np.column_stack([self.open, first, second, self.close]).ravel()

    def part(self, start: int, stop: int) -> History:
        """The rows from ``start`` up to, but without, ``stop``: to plan on one part and try out on another.

        Raises:
            GridError: they are too few.
        """
        rows = slice(start, stop)
        prices = [column[rows] for column in (self.open, self.high, self.low, self.close)]
        return self.from_columns(
            self.kind, self.time_ms[rows], prices, None if self.volume is None else self.volume[rows]
        )

    def check_gaps(self, max_gap_ms: int | None = None) -> int:
        """Refuse holes in the history; returns what was allowed, in ms.

        Raises:
            GridError: two rows that follow each other are further apart than ``max_gap_ms`` (default: five candles; for trades, a
                tenth of the history).
        """
        apart = np.diff(self.time_ms)
        if self.kind is Kind.CANDLES:
            default, what = int(MAX_GAP_CANDLES * np.median(apart)), f"{MAX_GAP_CANDLES} candles"
        else:
            default, what = self.span_ms // MAX_GAP_SHARE, "a tenth of the history"
        allowed = default if max_gap_ms is None else max_gap_ms
        at = int(np.argmax(apart))
        if apart[at] > allowed:
            gaps = int(np.count_nonzero(apart > allowed))
            raise GridError(
                f"the history has {gaps} gap{'s' if gaps > 1 else ''} longer than {duration(allowed)}"
                f"{'' if max_gap_ms is not None else f' ({what})'}; the longest, {duration(int(apart[at]))}, is from "
                f"{moment(int(self.time_ms[at]))} to {moment(int(self.time_ms[at + 1]))}: complete it, or allow such gaps "
                "(--max-gap), when the market was closed, say"
            )
        return allowed

    def _check(self) -> None:
        columns = {"open": self.open, "high": self.high, "low": self.low, "close": self.close}
        for column in columns.values():
            if column.shape != self.time_ms.shape:
                raise GridError(f"expected a price for each of the {len(self)} times, got {len(column)}")
        if len(self) < MIN_ROWS:
            raise GridError(
                f"the history is too short: {len(self)} {self.kind.value}, at least {MIN_ROWS} are needed to say anything"
            )
        for name, column in columns.items():
            self._refuse(~(np.isfinite(column) & (column > 0)), "price" if self._trades else name, column, "above zero")
        if self.volume is not None:
            self._refuse(~(np.isfinite(self.volume) & (self.volume >= 0)), "quantity", self.volume, "not below zero")
        step = np.diff(self.time_ms, prepend=self.time_ms[0] - 1)
        back = step < (0 if self._trades else 1)
        self._refuse(back, "time", self.time_ms, "later than the one before; sort the rows and drop repeated ones")
        if not self._trades:
            self._refuse(self.high < np.maximum(self.open, self.close), "high", self.high, "the highest of the four")
            self._refuse(self.low > np.minimum(self.open, self.close), "low", self.low, "the lowest of the four")
        if self.span_ms == 0:
            raise GridError(f"the history is too short: all {len(self)} rows are of one time")

    @property
    def _trades(self) -> bool:
        return self.kind is Kind.TRADES

    def _refuse(self, wrong: NDArray[np.bool_], what: str, column: Floats | Ints, expected: str) -> None:
        """The first row that is wrong, and how many there are."""
        count = int(np.count_nonzero(wrong))
        if count:
            at = int(np.argmax(wrong))
            raise GridError(
                f"row {at + 1} of the history ({moment(int(self.time_ms[at]))}): expected a {what} {expected}, got "
                f"{column[at]}{f' ({count} such rows)' if count > 1 else ''}"
            )


def moment(time_ms: int) -> str:
    """As text, UTC; outside the calendar as the number that it is."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, tz=UTC).isoformat(sep=" ", timespec="milliseconds")[:-6]
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"


def duration(span_ms: int) -> str:
    """As text, in the largest unit that leaves at least one."""
    for unit, ms in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if span_ms >= ms:
            return f"{span_ms / ms:.3g} {unit}"
    return f"{span_ms} ms"
