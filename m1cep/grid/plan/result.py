"""What planning gives: the levels, and how every number was got."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from m1cep.grid.orders import Market, Side

if TYPE_CHECKING:
    from decimal import Decimal

    from m1cep.grid.plan.levels import Spacing
    from m1cep.grid.plan.sizing import Sizing
    from m1cep.grid.plan.width import PowerLaw, Width


@dataclass(frozen=True, slots=True)
class Level:
    """One order of the grid.

    Attributes:
        index: from 1, the one nearest to the centre.
    """

    side: Side
    index: int
    ticks: int
    lots: int


@dataclass(frozen=True, slots=True)
class Reason:
    """A number of the plan and how it was got.

    Attributes:
        name: lower_case, for programs.
        value: with its unit, for people.
        how: in a line.
    """

    name: str
    value: str
    how: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the history said, for pictures.

    Attributes:
        horizon_ms: of the excursions.
        quantiles: (share, up, down) of the excursions, as logarithms.
        widths: every step that was counted.
        chosen_ppm: that of the width taken, before asymmetry and floors.
        cost: of a round trip, a share of the price.
        law: the fit, where there is one.
    """

    horizon_ms: int
    quantiles: tuple[tuple[float, float, float], ...]
    widths: tuple[Width, ...]
    chosen_ppm: int
    cost: float
    law: PowerLaw | None


@dataclass(frozen=True, slots=True)
class GridPlan:
    """A grid, ready to be run.

    Attributes:
        centre_ticks: around which the levels lie.
        step_up, step_down: from a price to the next level, as a share of it (millionths).
        step_up_ticks, step_down_ticks: the same at the centre; an arithmetic grid keeps these everywhere.
        floor_up, floor_down: steps at which fees take all of the profit, rounded up.
        levels: nearest to the centre first, buys before sells.
        capital: what was given, in quote.
        cash: for the buys and their fees, in quote, rounded up.
        base_lots: to hold when it begins, for the sells.
        buy_quote, sell_quote: money of each level, where the sizing keeps that (else 0).
        reasons: every number with how it was got.
        notes: what whoever runs this should know.
    """

    market: Market
    spacing: Spacing
    sizing: Sizing
    centre_ticks: int
    step_up: Decimal
    step_down: Decimal
    step_up_ticks: int
    step_down_ticks: int
    floor_up: Decimal
    floor_down: Decimal
    levels: tuple[Level, ...]
    capital: Decimal
    cash: Decimal
    base_lots: int
    buy_quote: Decimal
    sell_quote: Decimal
    evidence: Evidence
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]

    @property
    def buys(self) -> tuple[Level, ...]:
        """Nearest first: prices fall."""
        return tuple(level for level in self.levels if level.side is Side.BUY)

    @property
    def sells(self) -> tuple[Level, ...]:
        """Nearest first: prices rise."""
        return tuple(level for level in self.levels if level.side is Side.SELL)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: money, prices, quantities and steps as text, exact."""
        market = self.market
        return {
            "market": {name: _text(value) for name, value in asdict(market).items()},
            "spacing": self.spacing.value,
            "sizing": self.sizing.value,
            "centre": _text(market.price(self.centre_ticks)),
            "centre_ticks": self.centre_ticks,
            **{
                name: _text(getattr(self, name))
                for name in ("step_up", "step_down", "step_up_ticks", "step_down_ticks", "floor_up", "floor_down")
            },
            "levels": [
                {
                    "side": level.side.value,
                    "index": level.index,
                    "price": _text(market.price(level.ticks)),
                    "quantity": _text(market.quantity(level.lots)),
                    "notional": _text(market.notional(level.ticks, level.lots)),
                    "ticks": level.ticks,
                    "lots": level.lots,
                }
                for level in sorted(self.levels, key=lambda level: -level.ticks)
            ],
            "capital": _text(self.capital),
            "cash": _text(self.cash),
            "base": _text(market.quantity(self.base_lots)),
            "base_lots": self.base_lots,
            "buy_quote": _text(self.buy_quote),
            "sell_quote": _text(self.sell_quote),
            "horizon_ms": self.evidence.horizon_ms,
            "reasons": [asdict(reason) for reason in self.reasons],
            "notes": list(self.notes),
        }


def _text(value: Decimal | str | int) -> str | int:
    return value if isinstance(value, str | int) else f"{value.normalize():f}"
