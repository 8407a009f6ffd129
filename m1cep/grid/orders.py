"""What a grid and a venue say to each other: commands one way, reports the other.

    grid ── Place, PlaceMarket, Cancel, CancelAll, AskOpenOrders, AskOrder, AskFills ──▶ venue
    grid ◀── Accepted, Rejected, Fill, Cancelled, CancelRejected, OpenOrders, OrderState ── venue

Every report may come twice, late, or in another order than it happened; a fill may come before its order was accepted.
A question carries a number, and its answer the same one: an old answer that comes late is not taken for a new one.
Prices are ticks and quantities lots (whole numbers, see :class:`Market`); fees are exact amounts of the quote currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Side(StrEnum):
    """Of an order."""

    BUY = "buy"
    SELL = "sell"

    @property
    def other(self) -> Side:
        """The side that it trades against."""
        return Side.SELL if self is Side.BUY else Side.BUY


@dataclass(frozen=True, slots=True)
class Market:
    """How a symbol is traded on a venue.

    Attributes:
        symbol: such as BTC-USD: base, then quote.
        tick: smallest step of a price, in quote a base unit.
        lot: smallest step of a quantity, in base.
        min_notional: smallest price times quantity of an order, in quote.
        maker_fee, taker_fee: share of the notional, paid in quote; a negative one is a rebate.
    """

    symbol: str
    tick: Decimal
    lot: Decimal
    min_notional: Decimal = Decimal(0)
    maker_fee: Decimal = Decimal(0)
    taker_fee: Decimal = Decimal(0)

    def price(self, ticks: int) -> Decimal:
        """In quote a base unit."""
        return ticks * self.tick

    def quantity(self, lots: int) -> Decimal:
        """In base."""
        return lots * self.lot

    def notional(self, ticks: int, lots: int) -> Decimal:
        """Price times quantity, in quote, exact."""
        return ticks * lots * self.tick * self.lot


# -- commands


@dataclass(frozen=True, slots=True)
class Place:
    """A limit order, good till cancelled.

    Attributes:
        order_id: the client's, unique for ever: the same id again is the same order, whatever came of it.
        post_only: rejected where it would trade at once.
        expires_ms: who carries it does not deliver it later than this (0: whenever), so that what the venue does not know by then
            it will never know; of an order that it does know this changes nothing.
    """

    order_id: str
    side: Side
    ticks: int
    lots: int
    post_only: bool = True
    expires_ms: int = 0


@dataclass(frozen=True, slots=True)
class PlaceMarket:
    """A market order: trades at once with whatever is there; what finds nobody is cancelled.

    Attributes:
        order_id: as in :class:`Place`.
    """

    order_id: str
    side: Side
    lots: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel what is left of an order."""

    order_id: str


@dataclass(frozen=True, slots=True)
class CancelAll:
    """Cancel many orders at once; each is answered as if by a :class:`Cancel` of its own.

    Attributes:
        order_ids: those; when there are none, every open order of this client on the symbol. A grid names them: said twice, or
            late, it does not touch the orders that came after.
    """

    order_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AskOpenOrders:
    """Answered by :class:`OpenOrders`."""

    question: int = 0


@dataclass(frozen=True, slots=True)
class AskOrder:
    """Answered by :class:`OrderState`."""

    order_id: str
    question: int = 0


@dataclass(frozen=True, slots=True)
class AskFills:
    """Answered by every :class:`Fill` of the order so far once more, with the same trade ids."""

    order_id: str


Command = Place | PlaceMarket | Cancel | CancelAll | AskOpenOrders | AskOrder | AskFills


# -- reports


class Lifecycle(StrEnum):
    """Where an order stands. All but OPEN are terminal; UNKNOWN: the venue has never heard of it."""

    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The order rests in the book, or has begun to trade."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The order never was in the book.

    Attributes:
        reason: post_only, min_notional, tick, lot, balance, rate_limit, self_trade, halted, or the venue's own word.
    """

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fill:
    """A trade of one of our orders.

    Attributes:
        trade_id: with order_id unique on the venue and symbol.
        lots: of this trade alone.
        fee: paid, in quote; negative: received.
        maker: whether our order rested.
        time_ms: when it happened, by the venue.
    """

    order_id: str
    trade_id: str
    side: Side
    ticks: int
    lots: int
    fee: Decimal
    maker: bool
    time_ms: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The order is out of the book for good.

    Attributes:
        filled_lots: of the order in all; its fills may still be on their way.
    """

    order_id: str
    filled_lots: int


@dataclass(frozen=True, slots=True)
class CancelRejected:
    """The order was not cancelled: it may be filled, cancelled before, or never known. Not proof that it is gone: ask."""

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderState:
    """What the venue knows of an order.

    Attributes:
        lots, filled_lots: in all; 0 where it is unknown.
        question: that of the :class:`AskOrder` which this answers; 0 where nobody asked, or in :class:`OpenOrders`.
    """

    order_id: str
    lifecycle: Lifecycle
    lots: int = 0
    filled_lots: int = 0
    question: int = 0


@dataclass(frozen=True, slots=True)
class OpenOrders:
    """Every open order of this client on the symbol, at one moment."""

    orders: tuple[OrderState, ...]
    question: int = 0


Report = Accepted | Rejected | Fill | Cancelled | CancelRejected | OrderState | OpenOrders
