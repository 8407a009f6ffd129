"""The real order flow of a venue as operations of the paper exchange: its orders rest in the book next to ours.

What comes is what a venue *sent* (events of the ``market`` stream), not what it was sent. Two things are put back together:

- An order that is created and deleted whole in the same millisecond was post-only and would have traded: the venue lists it
  all the same. Two of three orders of the Bitstamp capture are such. It is told by looking at the rest of its millisecond,
  so events are held until the next one.
- A market order has the price that the venue writes for it (0, or 999999999).

After that the matcher decides who trades; the venue says only what is left: an order never has more left than the venue says,
and is gone when it is gone there. So a maker that at the venue was hit, and here stood behind one of ours, does not stay.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from m1cep.grid.orders import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.grid.paper.exchange import Exchange
    from m1cep.grid.paper.matching import Addressed

_SIDES = {"bid": Side.BUY, "ask": Side.SELL}
_MARKET_PRICES = (0, 999_999_999)


class RealFlow:
    """Feeds events of the ``market`` stream (action, order_id, side, price, qty, ts) to an exchange, in the order of ``ts``."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._tick, self._lot = exchange.market.tick, exchange.market.lot
        self._held: list[Mapping[str, Any]] = []  # of one millisecond

    def take(self, event: Mapping[str, Any]) -> list[Addressed]:
        """One event; what is told is about earlier ones.

        Raises:
            ValueError: a price or quantity is not in whole ticks or lots of the market.
        """
        told = self.finish() if self._held and self._held[0]["ts"] != event["ts"] else []
        self._held.append(event)
        return told

    def finish(self) -> list[Addressed]:
        """Carry out what is held: no other event of this millisecond will come."""
        held, self._held = self._held, []
        gone = {event["order_id"]: event["qty"] for event in held if event["action"] == "deleted"}
        told: list[Addressed] = []
        for event in held:
            order_id = event.get("order_id")
            match event["action"]:
                case "created":
                    told += self._create(event, post_only=gone.get(order_id) == event["qty"])
                case "changed":
                    self._exchange.external_reduce(str(order_id), steps(event["qty"], self._lot))
                case "deleted":
                    self._exchange.external_cancel(str(order_id))
        return told

    def state(self) -> list[dict[str, Any]]:
        """The events that are held, as plain values."""
        return [dict(event) for event in self._held]

    def load(self, state: list[dict[str, Any]]) -> None:
        """Take over what ``state()`` gave."""
        self._held = list(state)

    def _create(self, event: Mapping[str, Any], *, post_only: bool) -> list[Addressed]:
        ticks = None if event["price"] in _MARKET_PRICES else steps(event["price"], self._tick)
        return self._exchange.external_place(
            event["order_id"],
            _SIDES[event["side"]],
            ticks,
            steps(event["qty"], self._lot),
            event["ts"],
            post_only=post_only,
        )


def steps(value: float | Decimal, step: Decimal) -> int:
    """How many steps a value is: of a float the decimal that it is written as.

    Raises:
        ValueError: it is no whole number of them.
    """
    count = Decimal(str(value)) / step
    if count != count.to_integral_value():
        raise ValueError(f"expected a multiple of {step}, got {value}")
    return int(count)
