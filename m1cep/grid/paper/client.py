"""What the exchange knows of a client: its orders, open and ended, its fills, its balance."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from m1cep.grid.orders import Accepted, Cancelled, Lifecycle, OrderState, Rejected

if TYPE_CHECKING:
    from m1cep.grid.orders import Fill, Report
    from m1cep.grid.paper.book import Order
    from m1cep.grid.paper.money import Balance


class Client:
    """One owner of orders.

    Attributes:
        orders: by the client's id, open ones and as many ended ones as are remembered.
        open: those in the book, the oldest first.
        ended: ids of those that are not, in the order in which they ended.
        fills: the last ones, the oldest first.
        balance: None: not checked.
    """

    __slots__ = ("balance", "ended", "fills", "open", "orders", "owner")

    def __init__(self, owner: str, remember: int) -> None:
        self.owner = owner
        self.orders: dict[str, Order] = {}
        self.open: dict[str, Order] = {}
        self.ended: deque[str] = deque(maxlen=remember)
        self.fills: deque[Fill] = deque(maxlen=remember)
        self.balance: Balance | None = None

    def end(self, order: Order, lifecycle: Lifecycle) -> None:
        """The order is out of the book; the one that ended first is forgotten when there are too many."""
        order.lifecycle = lifecycle
        self.open.pop(order.order_id, None)
        if len(self.ended) == self.ended.maxlen:
            del self.orders[self.ended[0]]
        self.ended.append(order.order_id)


def reports(order: Order) -> list[Report]:
    """All that was ever reported of an order, in the order in which it was."""
    if order.lifecycle is Lifecycle.REJECTED:
        return [Rejected(order.order_id, order.reason)]
    told: list[Report] = [Accepted(order.order_id), *(order.fills or ())]
    if order.lifecycle is Lifecycle.CANCELLED:
        told.append(Cancelled(order.order_id, order.lots - order.left))
    return told


def state_of(order: Order) -> OrderState:
    """What an order query answers."""
    return OrderState(order.order_id, order.lifecycle, order.lots, order.lots - order.left)
