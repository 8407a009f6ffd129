"""What an account has and has asked for: orders, positions, what stands against it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from m1cep.pretrade.orders import Side  # noqa: TC001 - a field's type


@dataclass(slots=True)
class Order:
    """An order as far as it has been heard of. Its parts may come in any order; each counts once.

    Attributes:
        size: units that were ordered; None: only fills or a cancel of it have come.
        price: limit; None: a market order, or not known.
        left: what a cancel took away; None: there is none.
        filled: by the fills that have come.
        announced: it has been on the topic of orders; else it was accepted here and is waited for.
        until_ms: let go of it by then, unless more is heard of it; 0: never.
    """

    symbol: str
    side: Side
    size: int | None = None
    price: int | None = None
    left: int | None = None
    filled: int = 0
    announced: bool = False
    until_ms: int = 0

    @property
    def open(self) -> int:
        """Units that may still be filled. After a cancel those whose fills came before it and are still on their way."""
        if self.size is None:
            return 0
        found = self.size - self.filled - (self.left or 0)
        return max(found, 0)

    @property
    def over(self) -> bool:
        """Whether nothing more can come of it."""
        return self.announced and self.size is not None and self.filled + (self.left or 0) >= self.size


@dataclass(slots=True)
class Holding:
    """An account's units in a symbol: the position by its fills (negative: sold more than bought), and what is open."""

    position: int = 0
    buys: int = 0
    sells: int = 0

    @property
    def worst(self) -> int:
        """The largest position that can come of it, long or short: one side's orders filled, the other's not."""
        return max(self.position + self.buys, self.sells - self.position)


@dataclass(slots=True)
class Account:
    """An account.

    Attributes:
        orders: by id; those that are over are gone.
        holdings: by symbol.
        open: how many orders have something open.
        accepted_ms: when the last orders were accepted, the oldest first.
        frozen: rule by the id of the alert that froze it; ``alerts``: the same of open alerts that refuse orders.
        margin: time in ms and id of the newest report on margin, and whether it was too little.
    """

    orders: dict[str, Order] = field(default_factory=dict)
    holdings: dict[str, Holding] = field(default_factory=dict)
    open: int = 0
    accepted_ms: deque[int] = field(default_factory=deque)
    frozen: dict[str, str] = field(default_factory=dict)
    alerts: dict[str, str] = field(default_factory=dict)
    margin: tuple[int, str, bool] | None = None

    @property
    def nothing(self) -> bool:
        """Whether nothing is known of it but when orders were accepted."""
        return not (self.orders or self.holdings or self.frozen or self.alerts or self.margin)


@dataclass(slots=True)
class Market:
    """A symbol.

    Attributes:
        price: the last one; of a trade in the market where one was heard, else of a fill; else the highest of an order.
        rank: which of these: 2, 1, 0; -1: there is no price.
        rate: of its quote currency, see ``Rules.rate``.
        total: the sum of the accounts' worst positions, in units.
        given: the price is the limits' first one; nobody was heard to name one.
    """

    price: int | None = None
    rank: int = -1
    rate: int | None = None
    total: int = 0
    given: bool = False
