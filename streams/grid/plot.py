"""A plan as a picture: price and levels, excursions, counted moves and what they are worth. One SVG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from m1cep.grid.orders import Side
from m1cep.grid.plan.history import Kind, duration, moment
from streams.grid.curves import axis, round_values, thinned
from streams.svg import BLUE, FAINT, GREEN, INK, ORANGE, RED, Canvas, legend, scale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from m1cep.grid.plan import GridPlan, History

WIDTH, HEIGHT = 1100, 860
_LEFT, _NOW, _RIGHT = 90, 800, 1000  # of the price's panel: history up to _NOW, then what may come
_TOP, _BOTTOM = 90, 480
_LOW_TOP, _LOW_BOTTOM = 570, 780  # of the three panels below
_HORIZONS = 8  # of history that are shown
_BANDS = ((0.95, "#dbeafe"), (0.8, "#bfdbfe"), (0.5, "#93c5fd"))  # of excursions, the widest first


def draw(plan: GridPlan, history: History) -> str:
    """The picture of a plan and of the end of its history."""
    canvas = Canvas(WIDTH, HEIGHT)
    market = plan.market
    steps = f"steps {float(plan.step_up):.3%} up, {float(plan.step_down):.3%} down"
    canvas.text(
        40, 30, f"{market.symbol}: {plan.spacing} grid around {market.price(plan.centre_ticks):,f}, {steps}", size=18
    )
    about = f"{len(plan.buys)} buys, {len(plan.sells)} sells, {plan.sizing} sizing, capital {plan.capital:,f}"
    canvas.text(
        40, 52, f"{about}; horizon {duration(plan.evidence.horizon_ms)}, {len(history)} {history.kind.value}", size=12
    )
    _price(canvas, plan, history)
    _excursions(canvas, plan, (70, 340))
    _moves(canvas, plan, (430, 700))
    _gains(canvas, plan, (800, 1070))
    return canvas.svg()


def _price(canvas: Canvas, plan: GridPlan, history: History) -> None:
    evidence = plan.evidence
    start_ms = max(int(history.time_ms[0]), int(history.time_ms[-1]) - _HORIZONS * evidence.horizon_ms)
    end_ms = int(history.time_ms[-1])
    first = int(np.searchsorted(history.time_ms, start_ms))
    centre = float(plan.market.price(plan.centre_ticks))
    bands = [
        (centre * math.exp(-down), centre * math.exp(up), color)
        for wanted, color in _BANDS
        for share, up, down in evidence.quantiles
        if share == wanted
    ]
    prices = [float(plan.market.price(level.ticks)) for level in plan.levels]
    low = min(float(history.low[first:].min()), bands[0][0], *prices)
    high = max(float(history.high[first:].max()), bands[0][1], *prices)
    at_y = scale(low, high, _BOTTOM - 8, _TOP + 8)
    at_x = scale(start_ms, end_ms, _LEFT, _NOW)
    title = "Price, levels (green: buys, red: sells), excursions within the horizon in 50, 80 and 95 % of the time"
    canvas.text(_LEFT, _TOP - 10, title, size=14)
    for bottom, top, color in bands:
        canvas.box(_NOW, at_y(top), _RIGHT - _NOW, at_y(bottom) - at_y(top), color)
    axis(canvas, round_values(low, high), at_y, (_LEFT, _RIGHT), lambda value: f"{value:,.10g}")
    for n in range(4):
        time_ms = start_ms + (end_ms - start_ms) * n // 3
        anchor = "start" if n == 0 else "end" if n == 3 else "middle"
        canvas.text(at_x(time_ms), _BOTTOM + 18, moment(time_ms)[:-4], anchor=anchor, size=11)
    canvas.text(
        (_NOW + _RIGHT) / 2, _BOTTOM + 18, f"the next {duration(evidence.horizon_ms)}", anchor="middle", size=11
    )
    trades = history.kind is Kind.TRADES
    low_high = (history.close[first:],) if trades else (history.low[first:], history.high[first:])
    curve = thinned(history.time_ms[first:], *low_high)
    canvas.path([(at_x(t), at_y(p)) for t, p in curve], INK, width=1.2, dots=False)
    _levels(canvas, plan, at_y)
    canvas.line(_NOW, _TOP, _NOW, _BOTTOM, INK)


def _levels(canvas: Canvas, plan: GridPlan, at_y: Callable[[float], float]) -> None:
    written: list[float] = []
    for level in sorted(plan.levels, key=lambda level: level.index):
        y = at_y(float(plan.market.price(level.ticks)))
        color = GREEN if level.side is Side.BUY else RED
        canvas.line(_NOW, y, _RIGHT, y, color)
        canvas.line(_LEFT, y, _NOW, y, color, dash="1 6")
        if all(abs(y - other) >= 13 for other in written):
            written.append(y)
            canvas.text(_RIGHT + 6, y + 4, f"{plan.market.price(level.ticks):,f}", size=11, color=color)


def _excursions(canvas: Canvas, plan: GridPlan, across: tuple[int, int]) -> None:
    """Quantiles of U and D."""
    left, right = across
    quantiles = plan.evidence.quantiles
    ups = [(share, math.expm1(up) * 100) for share, up, _ in quantiles]
    downs = [(share, -math.expm1(-down) * 100) for share, _, down in quantiles]
    highest = max(y for _, y in ups + downs) or 1.0
    at_x, at_y = scale(0, 1, left, right), scale(0, highest, _LOW_BOTTOM, _LOW_TOP)
    canvas.text(left, _LOW_TOP - 14, "Excursions, %, by share of the time", size=14)
    axis(canvas, round_values(0, highest), at_y, across, lambda value: f"{value:.3g}")
    for share in (0.5, 0.8, 0.95):
        canvas.line(at_x(share), _LOW_TOP, at_x(share), _LOW_BOTTOM, FAINT, dash="3 3")
        canvas.text(at_x(share), _LOW_BOTTOM + 16, f"{share:.2g}", anchor="middle", size=11)
    for points, color in ((ups, RED), (downs, GREEN)):
        canvas.path([(at_x(x), at_y(y)) for x, y in points], color, dots=False)
    legend(canvas, ["up", "down"], left, _LOW_BOTTOM + 40, (RED, GREEN))


def _moves(canvas: Canvas, plan: GridPlan, across: tuple[int, int]) -> None:
    """N(g) and its power law, both axes logarithmic."""
    evidence = plan.evidence
    counted = [(width.step, float(width.moves)) for width in evidence.widths if width.moves]
    left, _ = across
    canvas.text(left, _LOW_TOP - 14, "Moves of each step, N(g)", size=14)
    most = max(y for _, y in counted)
    at_x = _stepsaxis(canvas, across, [x for x, _ in counted])
    at_y = scale(0, max(1, math.ceil(math.log10(most))), _LOW_BOTTOM, _LOW_TOP)
    axis(canvas, range(math.ceil(math.log10(most)) + 1), at_y, across, lambda power: f"{10**power:,.0f}")
    for x, y in counted:
        canvas.box(at_x(x) - 2, at_y(math.log10(y)) - 2, 4, 4, BLUE)
    law = evidence.law
    if law is not None:
        fitted = [(x, math.log10(law.k * x**-law.b)) for x, _ in counted if 1 <= law.k * x**-law.b <= most * 1.5]
        canvas.path([(at_x(x), at_y(y)) for x, y in fitted], ORANGE, width=1.4, dots=False)
    legend(canvas, ["counted", f"g^-{law.b:.2f}" if law else ""], left, _LOW_BOTTOM + 40)


def _gains(canvas: Canvas, plan: GridPlan, across: tuple[int, int]) -> None:
    """(g - c) N(g), as a share of the best, and the step that was taken."""
    evidence = plan.evidence
    best = max(width.gain for width in evidence.widths if width.ppm == evidence.chosen_ppm)
    points = [(width.step, width.gain / best) for width in evidence.widths if width.moves]
    left, _ = across
    canvas.text(left, _LOW_TOP - 14, "What a step earns, (g - c) N(g)", size=14)
    at_x = _stepsaxis(canvas, across, [x for x, _ in points])
    highest = max(1.0, *(y for _, y in points))
    at_y = scale(0, highest, _LOW_BOTTOM, _LOW_TOP)
    axis(canvas, [highest * n / 4 for n in range(5)], at_y, across, lambda value: f"{value:.2f}")
    canvas.path([(at_x(x), at_y(max(0.0, y))) for x, y in points], BLUE, width=1.4, dots=False)
    chosen = evidence.chosen_ppm / 1_000_000
    canvas.line(at_x(chosen), _LOW_TOP, at_x(chosen), _LOW_BOTTOM, ORANGE, dash="4 3")
    legend(canvas, ["counted", f"width {chosen:.4%}"], left, _LOW_BOTTOM + 40)


def _stepsaxis(canvas: Canvas, across: tuple[int, int], steps: Sequence[float]) -> Callable[[float], float]:
    """A logarithmic axis of steps, in percent; from a step to its place."""
    low, high = math.log10(min(steps)), math.log10(max(steps))
    place = scale(low, high, *across)
    for n in range(4):
        value = low + (high - low) * n / 3
        canvas.line(place(value), _LOW_BOTTOM, place(value), _LOW_BOTTOM + 4, INK)
        canvas.text(place(value), _LOW_BOTTOM + 16, f"{10**value * 100:.2g} %", anchor="middle", size=11)
    return lambda step: place(math.log10(step))
