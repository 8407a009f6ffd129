"""A backtest as a picture: equity against buy-and-hold, what it is made of, drawdown, re-creations. One SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m1cep.grid.backtest.curve import drawdowns
from m1cep.grid.plan.history import moment
from streams.grid.curves import axis, round_values, thinned
from streams.svg import BLUE, GREEN, INK, ORANGE, RED, Canvas, legend, scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from m1cep.grid.backtest import Part

    Floats = NDArray[np.float64]

WIDTH = 1100
_LEFT, _RIGHT = 100, 1060
_HEAD, _GAP = 112, 84


@dataclass(frozen=True)
class Columns:
    """A part of a backtest at every moment; money in quote, for the picture only.

    Attributes:
        time_ms: ascending.
        price: of the market.
        equity: cash and holdings at this price.
        hold: what the same capital, held, is worth.
        grid_profit: of matched pairs, less all fees, since the part began.
        floating: of what is not matched, since the part began.
        fees: paid since the part began.
        generation: grids built so far.
    """

    time_ms: Sequence[int]
    price: Floats
    equity: Floats
    hold: Floats
    grid_profit: Floats
    floating: Floats
    fees: Floats
    generation: Floats

    @classmethod
    def of(cls, part: Part) -> Columns:
        """What is drawn of a part."""
        curve, entry_fee = part.curve, float(part.entry_fee)
        return cls(
            curve.time_ms,
            curve.prices * float(part.plan.market.tick),
            part.equities(),
            part.holds(),
            curve.grid_profits() - entry_fee,
            curve.floatings(),
            curve.fees() + entry_fee,
            curve.generations(),
        )


@dataclass(frozen=True, slots=True)
class _Panel:
    """Curves by name; of each, a piece for every part."""

    title: str
    height: int
    curves: dict[str, list[Floats]]
    colors: tuple[str, ...]


def draw(title: str, facts: Sequence[str], parts: Sequence[Columns]) -> str:
    """The picture of a backtest.

    Args:
        title: the first line.
        facts: the lines below it, one or two.
        parts: by time: what the plan has seen, then, if there is a second, what it has not. Each begins anew: no curve goes from
            one to the next.
    """
    panels = _panels(parts)
    canvas = Canvas(WIDTH, _HEAD + sum(panel.height + _GAP for panel in panels))
    canvas.text(40, 30, title, size=18)
    for line, text in enumerate(facts):
        canvas.text(40, 50 + 16 * line, text, size=12)
    top = _HEAD
    for panel in panels:
        _draw_panel(canvas, panel, top, [part.time_ms for part in parts])
        top += panel.height + _GAP
    return canvas.svg()


def _panels(parts: Sequence[Columns]) -> list[_Panel]:
    change = {
        "grid": [part.equity - part.equity[0] for part in parts],
        "buy and hold": [part.hold - part.hold[0] for part in parts],
    }
    below = {
        "grid": [-100 * drawdowns(part.equity) for part in parts],
        "buy and hold": [-100 * drawdowns(part.hold) for part in parts],
    }
    made_of = {
        "grid profit, less fees": [part.grid_profit for part in parts],
        "floating": [part.floating for part in parts],
        "fees paid": [part.fees for part in parts],
    }
    return [
        _Panel("Price", 150, {"": [part.price for part in parts]}, (INK,)),
        _Panel("Change of equity", 190, change, (BLUE, ORANGE)),
        _Panel("What the grid's change is made of", 150, made_of, (GREEN, ORANGE, RED)),
        _Panel("Below the highest equity so far, %", 110, below, (BLUE, ORANGE)),
        _Panel("Grids built", 90, {"": [part.generation for part in parts]}, (BLUE,)),
    ]


def _draw_panel(canvas: Canvas, panel: _Panel, top: int, times: Sequence[Sequence[int]]) -> None:
    bottom = top + panel.height
    pieces = [piece for curve in panel.curves.values() for piece in curve]
    low, high = min(float(piece.min()) for piece in pieces), max(float(piece.max()) for piece in pieces)
    if low == high:
        low, high = low - 1, high + 1
    first_ms, last_ms = times[0][0], times[-1][-1]
    at_x, at_y = scale(first_ms, last_ms, _LEFT, _RIGHT), scale(low, high, bottom, top)
    canvas.text(_LEFT, top - 12, panel.title, size=14)
    axis(canvas, round_values(low, high), at_y, (_LEFT, _RIGHT), lambda value: f"{value:,.10g}")
    if low < 0 < high:
        canvas.line(_LEFT, at_y(0), _RIGHT, at_y(0), INK)
    for n in range(4):
        time_ms = first_ms + (last_ms - first_ms) * n // 3
        anchor = "start" if n == 0 else "end" if n == 3 else "middle"
        canvas.text(at_x(time_ms), bottom + 16, moment(time_ms)[:-4], anchor=anchor, size=11)
    if len(times) > 1:
        split = at_x(times[1][0])
        canvas.line(split, top - 4, split, bottom, RED, dash="4 3")
        canvas.text(split + 5, top - 8, "not seen by the plan", size=11, color=RED)
    for curve, color in zip(panel.curves.values(), panel.colors, strict=True):
        for moments, piece in zip(times, curve, strict=True):
            canvas.path([(at_x(x), at_y(y)) for x, y in thinned(moments, piece)], color, width=1.4, dots=False)
    legend(canvas, list(panel.curves), _LEFT, bottom + 36, panel.colors)
