"""Prices of levels: whole ticks, buys rounded down and sells up, no step below what fees take. Exact: integers and fractions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from m1cep.grid.orders import Side

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from m1cep.grid.orders import Market


class Spacing(StrEnum):
    """How levels follow each other: by equal ratios, or by equal differences."""

    GEOMETRIC = "geometric"
    ARITHMETIC = "arithmetic"


@dataclass(frozen=True, slots=True)
class Floors:
    """Steps below which a round trip loses on its fees, as shares of the price.

    A buy at p and a sell at p * (1 + up) earn p * (1 + up) * (1 - f_s) - p * (1 + f_b), which is zero at
    up = (f_b + f_s) / (1 - f_s); seen from the sell, down = (f_b + f_s) / (1 + f_b).
    """

    up: Fraction
    down: Fraction

    def times(self, margin: Decimal) -> Floors:
        """So much above them; negative ones (rebates) become zero."""
        factor = Fraction(margin)
        return Floors(max(Fraction(0), self.up * factor), max(Fraction(0), self.down * factor))


def fee_floors(buy_fee: Decimal, sell_fee: Decimal) -> Floors:
    """Of fees that are shares of the notional; both below one."""
    both = Fraction(buy_fee) + Fraction(sell_fee)
    return Floors(both / (1 - Fraction(sell_fee)), both / (1 + Fraction(buy_fee)))


def net_of_fees(market: Market, buy_ticks: int, sell_ticks: int) -> Fraction:
    """What a round trip of one base unit earns after the maker's fees, in quote."""
    fee = Fraction(market.maker_fee)
    return Fraction(market.tick) * (sell_ticks * (1 - fee) - buy_ticks * (1 + fee))


def geometric(side: Side, centre_ticks: int, ratio: Fraction, count: int) -> list[int]:
    """Levels from the centre outwards, each a ratio from the one before as it was rounded: so no step is smaller than told."""
    found: list[int] = []
    at = centre_ticks
    for _ in range(count):
        at = (
            max(at + 1, math.ceil(at * (1 + ratio))) if side is Side.SELL else min(at - 1, math.floor(at * (1 - ratio)))
        )
        if at < 1:
            break
        found.append(at)
    return found


def arithmetic(side: Side, centre_ticks: int, step_ticks: int, least: Fraction, count: int) -> list[int]:
    """Levels from the centre outwards at equal distances; none where the distance is less than the share ``least`` of the price.

    Upwards an equal distance is a smaller and smaller share of the price: there the fees end the grid.
    """
    found: list[int] = []
    at = centre_ticks
    for _ in range(count):
        to = at + step_ticks if side is Side.SELL else at - step_ticks
        if to < 1 or step_ticks < at * least:
            break
        found.append(to)
        at = to
    return found


def step_in_ticks(centre_ticks: int, ratio: Fraction) -> int:
    """The step as a difference at the centre, rounded up."""
    return max(1, math.ceil(centre_ticks * ratio))


def neutral_ratio(centre_ticks: int, buys: Sequence[int], sells: Sequence[int], spacing: Spacing) -> float:
    """Quantity of a sell by that of a buy, with which a price that comes back leaves no inventory behind.

    Back at its price after u steps up and d down, u * ln(1 + up) = -d * ln(1 - down) (equal differences: u * up = d * down); then
    u sells and d buys cancel out with this ratio. The steps are the first ones, as they were rounded to ticks.
    """
    if not sells:
        return 1.0
    up, down = sells[0] - centre_ticks, centre_ticks - buys[0]
    if spacing is Spacing.ARITHMETIC:
        return up / down
    return math.log1p(up / centre_ticks) / -math.log1p(-down / centre_ticks)
