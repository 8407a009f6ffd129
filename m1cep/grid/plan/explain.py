"""The reasons and notes of a plan: what was computed, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from m1cep.grid.plan.history import duration, moment
from m1cep.grid.plan.levels import Spacing, net_of_fees
from m1cep.grid.plan.result import Reason
from m1cep.grid.plan.sizing import Sizing
from m1cep.grid.plan.width import PPM, flat_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from m1cep.grid.orders import Market
    from m1cep.grid.plan.excursions import Excursions
    from m1cep.grid.plan.fitting import Fitted, Steps
    from m1cep.grid.plan.history import History
    from m1cep.grid.plan.levels import Floors
    from m1cep.grid.plan.options import PlanOptions
    from m1cep.grid.plan.result import Evidence
    from m1cep.grid.plan.sizing import Sizes
    from m1cep.grid.plan.width import Width

FEW_HORIZONS = 30
HONEST = (
    "a plain grid has an expected return of zero before fees (arXiv 2506.11921): it earns while the price comes back and loses "
    "against holding when it leaves; compare with buy-and-hold on a history that this plan has not seen"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a plan was made from; the names are those of ``planner``."""

    history: History
    gap_ms: int
    seen: Excursions
    market: Market
    options: PlanOptions
    centre_ticks: int
    floors: Floors
    steps: Steps
    width: Width
    usable: Sequence[Width]
    rho: float
    wanted: tuple[int, int]
    fitted: Fitted

    @property
    def span(self) -> str:
        return duration(self.history.span_ms)


def reasons(facts: Facts, evidence: Evidence) -> tuple[Reason, ...]:
    """Every number of the plan, in the order in which they were got."""
    return (*_of_history(facts), *_of_steps(facts, evidence), *_of_levels(facts), *_of_sizes(facts))


def _of_history(facts: Facts) -> Iterator[Reason]:
    history, seen = facts.history, facts.seen
    first, last = moment(int(history.time_ms[0])), moment(int(history.time_ms[-1]))
    yield Reason(
        "history", f"{len(history)} {history.kind.value} in {facts.span}", f"{first} to {last} UTC; no gap longer than "
        f"{duration(facts.gap_ms)}",
    )  # fmt: skip
    centre = facts.market.price(facts.centre_ticks)
    yield Reason(
        "centre", f"{centre:f}", "as given" if facts.options.centre is not None else "newest price, to the nearest tick"
    )
    horizons = history.span_ms / seen.horizon_ms
    asked = "as given" if facts.options.horizon_ms is not None else "24 h, or an eighth of the history if that is less"
    yield Reason("horizon", duration(seen.horizon_ms), f"{asked}; {horizons:.0f} of them in the history")
    up80, down80 = seen.quantile(80)
    yield Reason(
        "excursions_80", f"up {math.expm1(up80):.3%}, down {-math.expm1(-down80):.3%}",
        "how far the price goes within the horizon at most, in 80 % of the time",
    )  # fmt: skip
    raw = up80 / down80 if down80 else math.inf
    clamped = "" if raw == facts.rho else f"; {raw:.3g} was brought between 0.5 and 2"
    yield Reason("asymmetry", f"{facts.rho:.3f}", f"rho: the one by the other, of logarithms{clamped}")


def _of_steps(facts: Facts, evidence: Evidence) -> Iterator[Reason]:
    market, options, width, steps = facts.market, facts.options, facts.width, facts.steps
    yield Reason(
        "fee_floor", f"up {float(facts.floors.up):.4%}, down {float(facts.floors.down):.4%}",
        f"(f_b + f_s) / (1 - f_s) and / (1 + f_b), both fees {market.maker_fee:%}: there a round trip earns nothing",
    )  # fmt: skip
    yield Reason(
        "least_step", f"up {steps.least_up / PPM:.4%}, down {steps.least_down / PPM:.4%}",
        f"{options.fee_margin} times the floor, and at least one tick ({1 / facts.centre_ticks:.4%})",
    )  # fmt: skip
    yield Reason(
        "width", f"{width.step:.4%}",
        f"earned most of {len(facts.usable)} steps counted: (g - c) N(g) = {width.gain:.4g} with {width.ups} moves up and "
        f"{width.downs} down, c = {evidence.cost:.4%}",
    )  # fmt: skip
    law = evidence.law
    if law is not None:
        best = "no best step (b <= 1)" if law.best is None else f"the best step b c / (b - 1) = {law.best:.4%}"
        yield Reason("power_law", f"N(g) = {law.k:.3g} g^-{law.b:.2f}", f"fitted to the counts, to compare: {best}")
    low, high = flat_range(facts.usable, evidence.cost)
    yield Reason(
        "flat_range", f"{low:.4%} to {high:.4%}",
        "were the capital of all levels fixed instead, these steps would earn 80 % of the best or more: (g - c) g N(g) is flat",
    )  # fmt: skip
    root = math.sqrt(facts.rho)
    yield Reason(
        "step_up", f"{steps.up / PPM:.4%}", _step_from(width.ppm * root, steps.up, steps.least_up, "width * sqrt(rho)")
    )
    yield Reason(
        "step_down", f"{steps.down / PPM:.4%}",
        _step_from(width.ppm / root, steps.down, steps.least_down, "width / sqrt(rho)"),
    )  # fmt: skip


def _step_from(asked: float, step: int, least: int, formula: str) -> str:
    if step == least and asked < least:
        return f"{formula} = {asked / PPM:.4%} is less than the least step: that one"
    return f"{formula}, rounded up to a millionth"


def _of_levels(facts: Facts) -> Iterator[Reason]:
    sizer = facts.fitted.sizer
    up95, down95 = facts.seen.quantile(95)
    yield Reason(
        "range", f"up {math.expm1(up95):.3%}, down {-math.expm1(-down95):.3%}",
        "how far the price goes within the horizon at most, in 95 % of the time",
    )  # fmt: skip
    for name, got, wanted, step in (
        ("levels_up", len(sizer.sells), facts.wanted[0], facts.steps.up),
        ("levels_down", len(sizer.buys), facts.wanted[1], facts.steps.down),
    ):
        why = f"the range by the step of {step / PPM:.4%}, rounded up, at least 1"
        if got < wanted:
            limit = facts.fitted.limit or "the fee floor, or the price's end, at equal distances"
            why = f"{wanted} for the whole range; {limit} allows {got / wanted:.0%} of them"
        yield Reason(name, str(got), why)


def _of_sizes(facts: Facts) -> Iterator[Reason]:
    sizer, sizes = facts.fitted.sizer, facts.fitted.sizes
    market, options = facts.market, facts.options
    formula = "ln(1 + g_u) / -ln(1 - g_d)" if options.spacing is Spacing.GEOMETRIC else "step up / step down"
    yield Reason(
        "sell_to_buy", f"{float(sizer.ratio):.4f}",
        f"{formula}: quantities with which a price that comes back leaves no inventory; {_reached(sizes):.4f} in whole lots",
    )  # fmt: skip
    how = "as given" if options.per_level is not None else "what the capital pays for, in whole lots"
    kept = {
        Sizing.BASE: "the quantity stays",
        Sizing.QUOTE: "the money stays",
        Sizing.COMPOUNDING: "the share of the equity stays",
    }[options.sizing]
    buy = f"{market.quantity(sizes.buys[0]):f} for {float(market.notional(sizer.buys[0], sizes.buys[0])):,.2f}"
    yield Reason("per_buy", buy, f"{how}; {kept} ({options.sizing.value})")
    if sizes.sells:
        sell = f"{market.quantity(sizes.sells[0]):f} for {float(market.notional(sizer.sells[0], sizes.sells[0])):,.2f}"
        yield Reason("per_sell", sell, "that of a buy times sell_to_buy")
        earned = net_of_fees(market, facts.centre_ticks, sizer.sells[0]) * sizes.sells[0] * Fraction(market.lot)
        yield Reason(
            "per_round_trip", f"{float(earned):,.6g}",
            "a buy at the centre and the first sell, after fees, in quote",
        )  # fmt: skip
    yield Reason(
        "inventory", f"{market.quantity(sizes.base_lots):f} for {float(sizes.base_cost):,.2f}",
        "to hold for the sells when it begins, at the centre with the taker's fee",
    )  # fmt: skip
    yield Reason("cash", f"{float(sizes.cash):,.2f}", "for all buys, with the higher of the two fees")
    left = Fraction(options.capital) - sizes.needed
    yield Reason("unused", f"{float(left):,.2f}", f"of the capital of {options.capital:f}: what whole lots leave")


def _reached(sizes: Sizes) -> float:
    return sizes.sells[0] / sizes.buys[0] if sizes.sells else math.nan


def notes(facts: Facts, evidence: Evidence) -> tuple[str, ...]:
    """What whoever runs this should know."""
    return (*_about_history(facts), *_about_steps(facts, evidence), *_about_sizes(facts), HONEST)


def _about_history(facts: Facts) -> Iterator[str]:
    history = facts.history
    horizons = history.span_ms / facts.seen.horizon_ms
    if horizons < FEW_HORIZONS:
        yield f"the history has {horizons:.1f} horizons only: range and asymmetry are guesses (better: {FEW_HORIZONS} or more)"
    drift = math.log(history.last / float(history.open[0]))
    up95, down95 = facts.seen.quantile(95)
    if drift > up95 or -drift > down95:
        yield f"the price went {math.expm1(drift):+.1%} over the history, beyond the levels: a grid runs dry on such a way"


def _about_steps(facts: Facts, evidence: Evidence) -> Iterator[str]:
    law, width, steps = evidence.law, facts.width, facts.steps
    within = float(np.median(facts.history.high / facts.history.low)) - 1
    if within > width.step:
        yield f"half of the candles span {within:.4%} or more, and smaller moves within them are not seen: take finer candles"
    if law is None:
        yield f"only {len(facts.usable)} steps were seen often enough: too few for a power law to compare with"
    elif law.best is None:
        yield f"large moves are as frequent as small ones would make them in a trend (b = {law.b:.2f}): no step is best"
    elif law.best >= steps.least_up / PPM and not 0.5 <= width.step / law.best <= 2:
        yield f"the counted width {width.step:.4%} and the fitted one {law.best:.4%} differ by more than a factor of two"
    if width.ppm == facts.usable[0].ppm:
        yield "the smallest step allowed earned most: the limit (fees and margin, or the tick) decides, not the history"
    tick = 1 / facts.centre_ticks
    if tick * 10 * PPM > min(steps.up, steps.down):
        yield f"the tick is {tick * PPM / min(steps.up, steps.down):.0%} of a step: rounding outwards widens steps"


def _about_sizes(facts: Facts) -> Iterator[str]:
    sizer, sizes = facts.fitted.sizer, facts.fitted.sizes
    if sizes.sells and abs(_reached(sizes) / float(sizer.ratio) - 1) > 0.05:
        yield (
            f"lots are coarse: a sell is {_reached(sizes):.3f} of a buy where {float(sizer.ratio):.3f} would be neutral; "
            "inventory will depend on the path"
        )
    volume = facts.history.volume
    if volume is not None and facts.width.moves:
        a_move = float(volume.sum()) / facts.width.moves
        buy = float(facts.market.quantity(sizes.buys[0]))
        if a_move < buy:
            yield f"a level of {buy:g} is more than the {a_move:.3g} that traded per move: it will not always be filled"
