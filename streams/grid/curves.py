"""Curves over time: thinned without losing an extreme, axes whose values read well."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from streams.svg import Canvas, round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from streams.svg import Points

POINTS = 700  # of a curve, at most


def thinned(times: ArrayLike, low: ArrayLike, high: ArrayLike | None = None, points: int = POINTS) -> Points:
    """A curve of at most so many points: of every stretch its lowest and its highest value, in the order in which they came.

    Args:
        times: ascending.
        low: values at these times.
        high: the same where a time has a range of them.
        points: at most.
    """
    at, lows = np.asarray(times, dtype=np.float64), np.asarray(low, dtype=np.float64)
    highs = lows if high is None else np.asarray(high, dtype=np.float64)
    if len(at) <= points:
        return list(zip(at.tolist(), ((lows + highs) / 2).tolist(), strict=True))
    found: Points = []
    for start, stop in pairwise(np.linspace(0, len(at), points // 2 + 1).astype(int).tolist()):
        lowest, highest = start + int(lows[start:stop].argmin()), start + int(highs[start:stop].argmax())
        both = [(float(at[lowest]), float(lows[lowest])), (float(at[highest]), float(highs[highest]))]
        found += both if lowest <= highest else reversed(both)
    return found


def round_values(low: float, high: float) -> list[float]:
    """Four to nine values between the two that read well."""
    step = round_up((high - low) / 8)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def axis(
    canvas: Canvas,
    values: Sequence[float],
    at_y: Callable[[float], float],
    across: tuple[float, float],
    text: Callable[[float], str],
) -> None:
    """Faint lines at values, with the values to their left."""
    for value in values:
        canvas.line(across[0], at_y(value), across[1], at_y(value))
        canvas.text(across[0] - 6, at_y(value) + 4, text(value), anchor="end", size=11)
