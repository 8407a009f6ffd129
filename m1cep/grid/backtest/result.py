"""What came of a backtest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from m1cep.grid.backtest.curve import Drawdown, max_drawdown
from m1cep.grid.machine.books import EXACT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    import numpy as np
    from numpy.typing import NDArray

    from m1cep.grid.backtest.curve import Curve
    from m1cep.grid.plan import GridPlan


@dataclass(frozen=True, slots=True)
class Hold:
    """Buy and hold: as much as the capital pays for, bought at the first price with the taker's fee.

    Attributes:
        lots: held; cash: what was left, in quote.
    """

    capital: Decimal
    lots: int
    cash: Decimal
    fee: Decimal
    equity: Decimal
    drawdown: Drawdown

    @property
    def change(self) -> Decimal:
        """Of equity, since the beginning."""
        return EXACT.subtract(self.equity, self.capital)


@dataclass(frozen=True, slots=True)
class Part:
    """A grid on one part of the history, begun with all of the capital.

    Attributes:
        name: in_sample: the plan has seen it; out_of_sample: it has not.
        plan: what was run; its centre is the first price of the part.
        curve: of the grid's own account; to it comes
        idle: capital that the plan does not use.
        entry_fee: of the inventory that it began with, bought at the first price with the taker's fee.
        equity: at the end, idle capital included.
        grid_profit: of matched pairs, less the fees of their orders; without the entry fee.
        floating: of what is not matched, and of the inventory of the beginning.
        fees: all that were paid, the entry fee too.
        unexplained: change of equity by the venue's balances, less grid profit and floating, and the entry fee: zero.
        state, reason: of the grid at the end.
    """

    name: str
    rows: int
    plan: GridPlan
    curve: Curve
    capital: Decimal
    idle: Decimal
    entry_fee: Decimal
    equity: Decimal
    grid_profit: Decimal
    floating: Decimal
    fees: Decimal
    unexplained: Decimal
    generations: int
    fills: int
    state: str
    reason: str
    drawdown: Drawdown
    hold: Hold

    @property
    def change(self) -> Decimal:
        """Of equity, since the beginning."""
        return EXACT.subtract(self.equity, self.capital)

    @property
    def recreations(self) -> int:
        """How often the grid was built anew."""
        return max(0, self.generations - 1)

    def equities(self) -> NDArray[np.float64]:
        """At every point, with idle capital: to be drawn."""
        return self.curve.equities() + float(self.idle)

    def holds(self) -> NDArray[np.float64]:
        """The same of buy-and-hold."""
        return self.curve.prices * (self.hold.lots * float(self.curve.unit)) + float(self.hold.cash)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: money as exact text."""
        curve, market = self.curve, self.plan.market
        return {
            "from_ms": curve.time_ms[0],
            "to_ms": curve.time_ms[-1],
            "rows": self.rows,
            "first_price": _text(market.price(curve.ticks[0])),
            "last_price": _text(market.price(curve.ticks[-1])),
            "capital": _text(self.capital),
            "idle": _text(self.idle),
            "entry_fee": _text(self.entry_fee),
            **{
                name: _text(getattr(self, name))
                for name in ("equity", "change", "grid_profit", "floating", "fees", "unexplained")
            },
            "generations": self.generations,
            "recreations": self.recreations,
            "fills": self.fills,
            "state": self.state,
            "reason": self.reason,
            "max_drawdown": _drawdown(self.drawdown),
            "buy_and_hold": {
                "quantity": _text(market.quantity(self.hold.lots)),
                **{name: _text(getattr(self.hold, name)) for name in ("cash", "fee", "equity", "change")},
                "max_drawdown": _drawdown(self.hold.drawdown),
            },
        }


@dataclass(frozen=True, slots=True)
class Backtest:
    """One plan, made on the first part of a history, on that part and on the rest.

    Attributes:
        out_of_sample: None: the plan has seen all of the history.
    """

    in_sample: Part
    out_of_sample: Part | None

    @property
    def parts(self) -> list[Part]:
        """In the order of time."""
        return [self.in_sample] if self.out_of_sample is None else [self.in_sample, self.out_of_sample]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        plan = self.parts[-1].plan
        return {
            "plan": plan.to_dict(),
            **{part.name: part.to_dict() for part in self.parts},
        }


def deepest(values: NDArray[np.float64], time_ms: Sequence[int], exact: Callable[[int], Decimal]) -> Drawdown:
    """The deepest fall of values above zero, with its exact amount."""
    peak, trough = max_drawdown(values)
    height, depth = exact(peak), exact(trough)
    amount = EXACT.subtract(height, depth)
    return Drawdown(float(amount / height), amount, time_ms[peak], time_ms[trough])


def _drawdown(found: Drawdown) -> dict[str, Any]:
    return asdict(found) | {"amount": _text(found.amount)}


def _text(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") or "0" if "." in text else text
