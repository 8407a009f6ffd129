"""What a grid is told to be."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from m1cep.errors import GridError
from m1cep.grid.orders import Market  # noqa: TC001 - msgspec reads the annotations


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One level, told from the one before it (the first: from the centre).

    Attributes:
        ticks, ratio: how far away; the larger counts, and the market's fees where both are smaller. An arithmetic grid gives
            ticks, a geometric one a ratio (0.01: one percent).
        lots: of its order.
        quote: of its order, instead of lots: so much money, rounded down to whole lots.
    """

    lots: int = 0
    quote: Decimal = Decimal(0)
    ticks: int = 1
    ratio: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSpec:
    """A grid's configuration. It does not change while the grid lives.

    Attributes:
        centre_ticks: around which the first generation is built; with a trigger price: that price.
        up, down: its levels, nearest first: sells above the centre, buys below.
        cash: in quote, and
        lots: in base, that the grid may use; all of it is free when it begins.
        compound: whether quantities grow and shrink with the equity.
        max_orders: open at once.
        max_lots: held and in pending buys together, at most; None: as many as the cash allows.
        rate_per_s: commands in any second.
        recreate_lots: of one level, traded, for which the grid is built anew; None: all of them.
        trigger_ticks: the grid waits for this price; None: it begins at once.
        stop_loss_ticks, take_profit_ticks: at this price or below, or above, it cancels everything and stops.
        close_ticks: and then sells all that it holds, at most so far below the price; None: it keeps it. A pause or an alert
            does not interrupt this, only Stop does.
        trail_up_ticks, trail_down_ticks: so far from the centre, it is built anew without a trade; None: never.
        retries: how often an order that was turned away for now, or cancelled by others, is given again.
        retry_ms: and how long after.
        place_ttl_ms: an order that has not reached the venue by then never will (see Place.expires_ms).
        ask_after_ms: what is not answered by then is asked.
        reconcile_ms: how often the open orders are compared with the venue's.
        remember: generations whose orders are kept, to know their late messages.
    """

    market: Market
    centre_ticks: int
    up: tuple[Rung, ...]
    down: tuple[Rung, ...]
    cash: Decimal
    lots: int = 0
    compound: bool = False
    max_orders: int = 200
    max_lots: int | None = None
    rate_per_s: int = 50
    recreate_lots: int | None = None
    trigger_ticks: int | None = None
    stop_loss_ticks: int | None = None
    take_profit_ticks: int | None = None
    close_ticks: int | None = None
    trail_up_ticks: int | None = None
    trail_down_ticks: int | None = None
    retries: int = 3
    retry_ms: int = 1_000
    place_ttl_ms: int = 3_000
    ask_after_ms: int = 5_000
    reconcile_ms: int = 30_000
    remember: int = 20

    def __post_init__(self) -> None:
        """Refuse what can never run.

        Raises:
            GridError: says which number, and what was expected.
        """
        for problem in self._problems():
            raise GridError(problem)

    def _problems(self) -> list[str]:
        found = [
            f"{name}: expected a whole number from {least}, got {value!r}"
            for name, least in _LEAST.items()
            if (value := getattr(self, name)) is not None and (type(value) is not int or value < least)
        ]
        market = self.market
        found += [
            f"{market.symbol}: expected a {name} above 0, got {value}"
            for name, value in (("tick", market.tick), ("lot", market.lot))
            if not (value.is_finite() and value > 0)
        ]
        if not (self.cash.is_finite() and self.cash >= 0):
            found.append(f"cash: expected an amount from 0, got {self.cash}")
        if not self.up and not self.down:
            found.append("expected at least one level, got none up and none down")
        for name, rungs in (("up", self.up), ("down", self.down)):
            found += [f"{name}[{i}]: {problem}" for i, rung in enumerate(rungs, 1) if (problem := _rung_problem(rung))]
        if self.place_ttl_ms >= self.ask_after_ms:
            found.append(
                f"expected place_ttl_ms below ask_after_ms, got {self.place_ttl_ms} and {self.ask_after_ms}: "
                "an order is asked for only when it cannot be on its way any more"
            )
        if not -1 < market.maker_fee < 1:
            found.append(f"{market.symbol}: expected a maker_fee between -1 and 1, got {market.maker_fee}")
        low, high = self.stop_loss_ticks, self.take_profit_ticks
        if low is not None and high is not None and low >= high:
            found.append(f"expected stop_loss_ticks below take_profit_ticks, got {low} and {high}: it would never run")
        return found


_LEAST = {
    "centre_ticks": 1,
    "lots": 0,
    "max_orders": 1,
    "max_lots": 0,
    "rate_per_s": 1,
    "recreate_lots": 1,
    "trigger_ticks": 1,
    "stop_loss_ticks": 1,
    "take_profit_ticks": 1,
    "close_ticks": 0,
    "trail_up_ticks": 1,
    "trail_down_ticks": 1,
    "retries": 0,
    "retry_ms": 1,
    "place_ttl_ms": 1,
    "ask_after_ms": 1,
    "reconcile_ms": 1,
    "remember": 1,
}


def _rung_problem(rung: Rung) -> str:
    if (rung.lots > 0) == (rung.quote > 0):
        return f"expected lots or quote above 0, and not both, got {rung.lots} and {rung.quote}"
    if rung.lots < 0 or rung.quote < 0:
        return f"expected nothing below 0, got {rung.lots} lots and {rung.quote}"
    if rung.ticks < 1:
        return f"expected at least 1 tick to the level before, got {rung.ticks}"
    if not 0 <= rung.ratio < 1:
        return f"expected a ratio from 0 to less than 1, got {rung.ratio}"
    return ""


def fee_floor(market: Market) -> Fraction:
    """A sell price less than this times a buy price loses on the pair's fees (both orders rest, so both pay the maker's)."""
    fee = Fraction(market.maker_fee)
    return (1 + fee) / (1 - fee)
