"""The order book: two halves of price levels, each level in the order of arrival.

A half keys its levels so that the best is the greatest: bids by their ticks, asks by their negative ticks. The keys are one
sorted list with the best at its end, where nearly everything happens: there an insertion moves next to nothing.
(``bench/paper.py`` compares it with a heap and with sortedcontainers.)
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from typing import TYPE_CHECKING

from m1cep.grid.orders import Lifecycle, Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m1cep.grid.orders import Fill
    from m1cep.grid.paper.client import Client

ANY_PRICE = -(1 << 62)  # the limit of a market order, below every key


class Order:
    """An order of a client, or of the real flow (``client`` is None).

    Attributes:
        ticks: its limit; 0 of a market order.
        key: of its level in its own half.
        lots, left: in all, and not yet traded.
        hold: of a client with a balance, the money units held for each lot that is left.
        fills: its trades, of a client's order only; None: no trade yet.
        reason: why it was rejected, else empty.
    """

    __slots__ = ("buy", "client", "fills", "hold", "key", "left", "lifecycle", "lots", "order_id", "reason", "ticks")

    def __init__(self, client: Client | None, order_id: str, side: Side, ticks: int, lots: int) -> None:
        self.client = client
        self.order_id = order_id
        self.buy = side is Side.BUY
        self.ticks = ticks
        self.key = ticks if self.buy else -ticks
        self.lots = self.left = lots
        self.hold = 0
        self.lifecycle = Lifecycle.OPEN
        self.reason = ""
        self.fills: list[Fill] | None = None  # most orders never trade: a list less for each

    @property
    def side(self) -> Side:
        """Which half it belongs to."""
        return Side.BUY if self.buy else Side.SELL

    @property
    def limit(self) -> int:
        """The least key of the other half that it trades with."""
        return -self.key


class Half:
    """The bids or the asks.

    Attributes:
        keys: of the levels that hold an order, ascending: the best is the last.
        levels: the orders of each, the oldest first.
    """

    __slots__ = ("keys", "levels")

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.levels: dict[int, OrderedDict[Order, None]] = {}

    def add(self, order: Order) -> None:
        """Last in its level."""
        level = self.levels.get(order.key)
        if level is None:
            level = self.levels[order.key] = OrderedDict()
            insort(self.keys, order.key)
        level[order] = None

    def remove(self, order: Order) -> None:
        """Out of its level, and the level with it if it was the last."""
        level = self.levels[order.key]
        del level[order]
        if not level:
            self.drop(order.key)

    def drop(self, key: int) -> None:
        """Forget an empty level."""
        del self.levels[key]
        keys = self.keys
        if keys[-1] == key:
            keys.pop()
        else:
            del keys[bisect_left(keys, key)]

    def first(self) -> Order | None:
        """The next to trade."""
        return next(iter(self.levels[self.keys[-1]])) if self.keys else None

    def __iter__(self) -> Iterator[Order]:
        """Every order, the next to trade first."""
        for key in reversed(self.keys):
            yield from self.levels[key]
