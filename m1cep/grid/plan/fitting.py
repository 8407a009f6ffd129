"""How many levels: as many as were wanted, as far as orders and capital go."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from m1cep.errors import GridError
from m1cep.grid.orders import Market, Side
from m1cep.grid.plan.levels import Spacing, arithmetic, fee_floors, geometric, neutral_ratio, step_in_ticks
from m1cep.grid.plan.sizing import Sizer, Sizes
from m1cep.grid.plan.width import PPM

if TYPE_CHECKING:
    from m1cep.grid.plan.options import PlanOptions


@dataclass(frozen=True, slots=True)
class Steps:
    """Of a grid, in millionths.

    Attributes:
        least_up, least_down: below which they must not be: the fees' floor with its margin, and one tick.
        up, down: chosen.
    """

    least_up: int
    least_down: int
    up: int
    down: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """Levels with their sizes.

    Attributes:
        limit: why there are not more; empty: nothing else was wanted.
    """

    sizer: Sizer
    sizes: Sizes
    limit: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Makes prices of so many levels up and down."""

    market: Market
    options: PlanOptions
    centre_ticks: int
    steps: Steps

    def sizer(self, ups: int, downs: int) -> Sizer:
        up, down = Fraction(self.steps.up, PPM), Fraction(self.steps.down, PPM)
        centre = self.centre_ticks
        if self.options.spacing is Spacing.GEOMETRIC:
            sells, buys = geometric(Side.SELL, centre, up, ups), geometric(Side.BUY, centre, down, downs)
        else:
            floors = fee_floors(self.market.maker_fee, self.market.maker_fee).times(self.options.fee_margin)
            up_ticks, down_ticks = step_in_ticks(centre, up), step_in_ticks(centre, down)
            sells = arithmetic(Side.SELL, centre, up_ticks, floors.up, ups)
            buys = arithmetic(Side.BUY, centre, down_ticks, floors.down, downs)
        if not buys:
            raise GridError(
                f"no buy fits below {self.market.price(centre):f}: a step down is {self.steps.down / PPM:.3%}, "
                f"and the tick is {self.market.tick:f}"
            )
        return Sizer(self.market, centre, buys, sells, neutral_ratio(centre, buys, sells, self.options.spacing))


def fit(layout: Layout, options: PlanOptions, wanted: tuple[int, int]) -> Fitted:
    """As many of the levels as orders, capital and the venue's smallest order allow; the outermost are left out first.

    Raises:
        GridError: not even one on each side.
    """

    def attempt(total: int) -> Fitted:
        sizer = layout.sizer(*share_out(wanted, total))
        sizes = sizer.size(options.sizing, options.capital, options.per_level)
        problem = sizer.problem(sizes)
        if not problem and sizes.needed > options.capital:
            problem = f"{total} levels of this size need {float(sizes.needed):,.2f}"
        return Fitted(sizer, sizes, problem)

    most = min(sum(wanted), options.max_orders)
    best = attempt(most)
    if not best.limit:
        return replace(best, limit=f"the limit of {most} orders" if most < sum(wanted) else "")
    too_many = bisect.bisect_left(range(2, most), True, key=lambda total: bool(attempt(total).limit)) + 2
    limit = attempt(too_many).limit
    if too_many == 2:
        least = float(attempt(2).sizer.least_capital())
        raise GridError(
            f"the capital of {options.capital:f} is too small for one level on each side: {limit}; at least "
            f"{least:,.6g} is needed"
            + ("" if options.per_level is None else f", or another amount per level than {options.per_level:f}")
        )
    return replace(attempt(too_many - 1), limit=f"the capital (with one level more {limit})")


def share_out(wanted: tuple[int, int], total: int) -> tuple[int, int]:
    """So many levels up and down in proportion to what is wanted, at least one each."""
    ups, downs = wanted
    if ups + downs <= total:
        return wanted
    fewer = min(total - 1, max(1, round(total * ups / (ups + downs))))
    return fewer, total - fewer
