"""The step: by counting how often a history moved by each, and weighing that against what a round trip costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.grid.plan.history import Floats

CANDIDATES = 80
MIN_MOVES = 10  # of one step: fewer say nothing
PPM = 1_000_000  # steps are whole millionths: exact, and finer than any tick that matters
LARGEST = 100  # step that is tried: 100 times the price
_SLACK = 1e-9  # of a step: logarithms are not exact, a move of just one step is one


@dataclass(frozen=True, slots=True)
class Width:
    """One step, tried on the history.

    Attributes:
        ppm: the step, in millionths.
        ups, downs: moves of this size.
        gain: (step - cost) * moves, the quantity per level being 1 and the price 1.
    """

    ppm: int
    ups: int
    downs: int
    gain: float

    @property
    def step(self) -> float:
        """0.01 is one percent."""
        return self.ppm / PPM

    @property
    def moves(self) -> int:
        """N(g)."""
        return self.ups + self.downs

    @property
    def round_trips(self) -> int:
        """Moves that were undone: what a grid earns on."""
        return min(self.ups, self.downs)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """N(g) = k * g^-b, fitted to what was counted.

    Attributes:
        best: the step that it asks for, b * c / (b - 1); None where b <= 1: the larger the step the better.
    """

    k: float
    b: float
    best: float | None


def turning_points(path: Floats) -> Floats:
    """Only where the path changes direction, and its ends. A step is counted no more and no less often on it."""
    moved: Floats = path[np.concatenate([[True], np.diff(path) != 0])]
    if len(moved) < 3:
        return moved
    rises = np.diff(moved) > 0
    turns: Floats = moved[np.concatenate([[True], rises[1:] != rises[:-1], [True]])]
    return turns


def without_wiggles(path: Floats, size: float) -> Floats:
    """Turning points without pairs that are less than ``size`` apart and lie within the legs beside them.

    Such a pair makes no step of ``size`` or more that the path without it does not make: counting on what is left is exact.
    """
    kept: list[float] = []
    for point in path.tolist():
        kept.append(point)
        while len(kept) >= 4:
            a, b, c, d = kept[-4:]
            if abs(c - b) >= size or not (min(a, d) <= min(b, c) and max(b, c) <= max(a, d)):
                break
            del kept[-3:-1]
    return np.asarray(kept)


def count_moves(log_path: Floats, step: float) -> tuple[int, int]:
    """How often the price went one step up, and down, from where it last had done so.

    Args:
        log_path: logarithms of the prices.
        step: the step, as a logarithm.
    """
    ups = downs = level = 0
    for place in ((log_path - log_path[0]) / step).tolist():
        if place >= level + 1 - _SLACK:
            to = math.floor(place + _SLACK)
            ups += to - level
            level = to
        elif place <= level - 1 + _SLACK:
            to = math.ceil(place - _SLACK)
            downs += level - to
            level = to
    return ups, downs


def try_widths(prices: Floats, least_ppm: int, cost: float) -> list[Width]:
    """Steps from ``least_ppm`` up to the whole range of the history, each counted; empty where the range is less than one."""
    path = turning_points(np.log(prices))
    whole = min(float(path.max() - path.min()), math.log1p(LARGEST))
    range_ppm = math.floor(math.expm1(whole) * PPM * (1 + _SLACK))
    if range_ppm < least_ppm:
        return []
    found: list[Width] = []
    for ppm in sorted({int(ppm) for ppm in np.geomspace(least_ppm, range_ppm, CANDIDATES).round()}):
        step = math.log1p(ppm / PPM)
        path = without_wiggles(path, step * (1 - 2 * _SLACK))
        ups, downs = count_moves(path, step)
        found.append(Width(ppm, ups, downs, (ppm / PPM - cost) * (ups + downs)))
    return found


def usable(widths: Sequence[Width]) -> list[Width]:
    """Those that were seen often enough, there and back."""
    return [width for width in widths if width.moves >= MIN_MOVES and width.round_trips]


def best_width(widths: Sequence[Width]) -> Width:
    """The one with the largest gain; of equals the smallest."""
    return max(widths, key=lambda width: (width.gain, -width.ppm))


def flat_range(widths: Sequence[Width], cost: float, share: float = 0.8) -> tuple[float, float]:
    """From and to which step the gain of a fixed capital is at least ``share`` of the largest.

    A fixed capital, spread over a range, puts a share of itself on a level that grows with the step: (g - c) * g * N(g).
    """
    gains = [(width.step, width.gain * width.step) for width in widths if width.step > cost]
    if not gains:
        return widths[0].step, widths[-1].step
    enough = share * max(gain for _, gain in gains)
    good = [step for step, gain in gains if gain >= enough]
    return good[0], good[-1]


def fit_power_law(widths: Sequence[Width], cost: float) -> PowerLaw | None:
    """By least squares on logarithms; None where fewer than five steps were counted often enough."""
    if len(widths) < 5:
        return None
    slope, intercept = np.polyfit(np.log([w.step for w in widths]), np.log([w.moves for w in widths]), 1)
    b = -float(slope)
    return PowerLaw(k=math.exp(float(intercept)), b=b, best=b * cost / (b - 1) if b > 1 else None)
