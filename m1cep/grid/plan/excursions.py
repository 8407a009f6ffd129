"""How far the price went within a horizon, up and down."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from m1cep.errors import GridError
from m1cep.grid.plan.history import duration

if TYPE_CHECKING:
    from m1cep.grid.plan.history import Floats, History, Ints

DEFAULT_HORIZON_MS = 86_400_000
SHARE = 8  # of a history that is not that long: an eighth
MIN_HORIZONS = 4  # that must fit into the history
ASYMMETRY_AT = 80  # % quantile
ASYMMETRY_BOUNDS = (0.5, 2.0)
_SHARES = np.arange(101) / 100


@dataclass(frozen=True, eq=False)
class Excursions:
    """U = max ln(P[t+h] / P[t]) and D = -min of the same, for 0 <= h <= horizon, at each row whose horizon lies in the history.

    Attributes:
        horizon_ms: how far was looked.
        up, down: U and D, at least 0.
        weight: of each: how long its row stood, in ms, so that busy times do not count more than quiet ones.
    """

    horizon_ms: int
    up: Floats
    down: Floats
    weight: Floats

    @cached_property
    def quantiles(self) -> list[tuple[float, float]]:
        """Of U and of D, from 0 to 100 %: the smallest that is not exceeded for this part of the time."""
        up, down = (
            np.quantile(values, _SHARES, weights=self.weight, method="inverted_cdf").tolist()
            for values in (self.up, self.down)
        )
        return list(zip(up, down, strict=True))

    def quantile(self, percent: int) -> tuple[float, float]:
        """One of them."""
        return self.quantiles[percent]

    def asymmetry(self) -> float:
        """rho: the 80 % quantile of U by that of D, between 0.5 and 2."""
        up, down = self.quantile(ASYMMETRY_AT)
        low, high = ASYMMETRY_BOUNDS
        if down == 0:
            return high if up > 0 else 1.0
        return min(high, max(low, up / down))


def choose_horizon(history: History, asked_ms: int | None = None) -> int:
    """What was asked for; else 24 hours, or an eighth of the history where that is less.

    Raises:
        GridError: the history has room for fewer than four of them.
    """
    horizon_ms = min(DEFAULT_HORIZON_MS, history.span_ms // SHARE) if asked_ms is None else asked_ms
    if horizon_ms < 1:
        raise GridError(f"expected a horizon of at least 1 ms, got {horizon_ms}")
    if history.span_ms < MIN_HORIZONS * horizon_ms:
        raise GridError(
            f"the history is too short: {duration(history.span_ms)}, for a horizon of {duration(horizon_ms)} at least "
            f"{duration(MIN_HORIZONS * horizon_ms)} are needed; give more of it, or a shorter horizon (--horizon)"
        )
    return horizon_ms


def excursions(history: History, horizon_ms: int) -> Excursions:
    """Of every row whose horizon ends within the history."""
    time_ms = history.time_ms
    stop = np.searchsorted(time_ms, time_ms + horizon_ms, side="right")  # one past the last row within the horizon
    starts = np.flatnonzero(time_ms + horizon_ms <= time_ms[-1])
    stop = stop[starts]
    now = np.log(history.close[starts])
    highest = _window_max(np.log(history.high), starts + 1, stop)
    lowest = -_window_max(-np.log(history.low), starts + 1, stop)
    weight = np.diff(time_ms).astype(np.float64)[starts]
    return Excursions(horizon_ms, np.maximum(0.0, highest - now), np.maximum(0.0, now - lowest), weight)


def _window_max(values: Floats, start: Ints, stop: Ints) -> Floats:
    """The largest of ``values[start:stop]`` for each pair; -inf where that is empty.

    A window of n is covered by two of the largest power of two within n, whose maxima come from doubling: n log n in all.
    """
    length = stop - start
    found = np.full(len(start), -np.inf)
    maxima, width = values, 1  # maxima[i] is that of values[i : i + width]
    while width <= length.max(initial=0):
        here = (length >= width) & (length < 2 * width)
        found[here] = np.maximum(maxima[start[here]], maxima[stop[here] - width])
        if len(maxima) <= width:
            break
        maxima = np.maximum(maxima[:-width], maxima[width:])
        width *= 2
    return found
