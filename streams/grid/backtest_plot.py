"""A backtest as a picture: equity against buy-and-hold, what it is made of, drawdown, re-creations. One SVG."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from m1cep.grid.plan.history import moment
from streams.grid.curves import axis, round_values, thinned
from streams.svg import BLUE, GREEN, INK, ORANGE, RED, Canvas, legend, scale

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 1100
_LEFT, _RIGHT = 100, 1060
_HEAD, _GAP = 100, 84


class Sample(NamedTuple):
    """A moment of a backtest; money in quote, for the picture only.

    Attributes:
        price: of the market.
        equity: cash and holdings at this price.
        hold: what the equity of the beginning, held as it was bought, is worth.
        grid_profit: of matched pairs, less all fees, since the beginning.
        floating: of what is not matched, since the beginning.
        fees: paid since the beginning.
        generation: grids built so far.
    """

    time_ms: int
    price: float
    equity: float
    hold: float
    grid_profit: float
    floating: float
    fees: float
    generation: int


class Drawdown(NamedTuple):
    """The deepest fall from a height, as a share of it; between which samples."""

    share: float
    peak: int
    trough: int


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    height: int
    curves: dict[str, list[float]]
    colors: tuple[str, ...]


def max_drawdown(values: Sequence[float]) -> Drawdown:
    """Of values above zero; of equal falls the first."""
    if not values:
        return Drawdown(0.0, 0, 0)
    falls = drawdowns(values)
    trough = falls.index(max(falls))
    before = values[: trough + 1]
    return Drawdown(falls[trough], before.index(max(before)), trough)


def drawdowns(values: Sequence[float]) -> list[float]:
    """How far each value is below the highest so far, as a share of that."""
    return [1 - value / highest for value, highest in zip(values, accumulate(values, max), strict=True)]


def draw(title: str, facts: str, samples: Sequence[Sample], out_of_sample_ms: int | None = None) -> str:
    """The picture of a backtest.

    Args:
        title: the first line.
        facts: the second.
        samples: by time, at least one.
        out_of_sample_ms: where what the plan had not seen begins; None: it had seen all of it, or nothing.
    """
    panels = _panels(samples)
    times = [sample.time_ms for sample in samples]
    canvas = Canvas(WIDTH, _HEAD + sum(panel.height + _GAP for panel in panels))
    canvas.text(40, 30, title, size=18)
    canvas.text(40, 52, facts, size=12)
    top = _HEAD
    for panel in panels:
        _draw_panel(canvas, panel, top, times, out_of_sample_ms)
        top += panel.height + _GAP
    return canvas.svg()


def _panels(samples: Sequence[Sample]) -> list[_Panel]:
    equity, hold = [sample.equity for sample in samples], [sample.hold for sample in samples]
    change = {"grid": [value - equity[0] for value in equity], "buy and hold": [value - hold[0] for value in hold]}
    below = {"grid": [-100 * share for share in drawdowns(equity)], "buy and hold": [-100 * s for s in drawdowns(hold)]}
    parts = {
        "grid profit, less fees": [sample.grid_profit for sample in samples],
        "floating": [sample.floating for sample in samples],
        "fees paid": [sample.fees for sample in samples],
    }
    return [
        _Panel("Price", 150, {"": [sample.price for sample in samples]}, (INK,)),
        _Panel("Change of equity", 190, change, (BLUE, ORANGE)),
        _Panel("What it is made of", 150, parts, (GREEN, ORANGE, RED)),
        _Panel("Below the highest equity so far, %", 110, below, (BLUE, ORANGE)),
        _Panel("Grids built", 90, {"": [float(sample.generation) for sample in samples]}, (BLUE,)),
    ]


def _draw_panel(canvas: Canvas, panel: _Panel, top: int, times: Sequence[int], split_ms: int | None) -> None:
    bottom = top + panel.height
    low, high = min(map(min, panel.curves.values())), max(map(max, panel.curves.values()))
    if low == high:
        low, high = low - 1, high + 1
    at_x, at_y = scale(times[0], times[-1], _LEFT, _RIGHT), scale(low, high, bottom, top)
    canvas.text(_LEFT, top - 12, panel.title, size=14)
    axis(canvas, round_values(low, high), at_y, (_LEFT, _RIGHT), lambda value: f"{value:,.10g}")
    if low < 0 < high:
        canvas.line(_LEFT, at_y(0), _RIGHT, at_y(0), INK)
    for n in range(4):
        time_ms = times[0] + (times[-1] - times[0]) * n // 3
        anchor = "start" if n == 0 else "end" if n == 3 else "middle"
        canvas.text(at_x(time_ms), bottom + 16, moment(time_ms)[:-4], anchor=anchor, size=11)
    if split_ms is not None and times[0] < split_ms < times[-1]:
        canvas.line(at_x(split_ms), top - 4, at_x(split_ms), bottom, RED, dash="4 3")
        canvas.text(at_x(split_ms) + 5, top + 8, "not seen by the plan", size=11, color=RED)
    for values, color in zip(panel.curves.values(), panel.colors, strict=True):
        canvas.path([(at_x(x), at_y(y)) for x, y in thinned(times, values)], color, width=1.4, dots=False)
    legend(canvas, list(panel.curves), _LEFT, bottom + 36, panel.colors)
