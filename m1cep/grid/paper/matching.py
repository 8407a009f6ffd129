"""Matching: a taker against the other half, price by price, and within a price the oldest order first."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from m1cep.grid.orders import Cancelled, Fill, Lifecycle, Side
from m1cep.grid.paper.book import Half
from m1cep.grid.paper.money import Units

if TYPE_CHECKING:
    from m1cep.grid.orders import Market, Report
    from m1cep.grid.paper.book import Order
    from m1cep.grid.paper.client import Client

Addressed = tuple[str, "Report"]  # whom it is for, what there is to say


class SelfTrade(StrEnum):
    """What happens where an order would trade with one of the same owner."""

    CANCEL_NEWEST = "cancel_newest"  # the one that comes; rejected if it has not traded yet
    CANCEL_OLDEST = "cancel_oldest"  # the one that rests
    CANCEL_BOTH = "cancel_both"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade as the whole market sees it.

    Attributes:
        side: of the taker.
        maker, taker: owner and order id; the owner is None of an order of the real flow.
    """

    trade_id: str
    side: Side
    ticks: int
    lots: int
    maker: tuple[str | None, str]
    taker: tuple[str | None, str]
    time_ms: int


class Matcher:
    """The two halves of a market's book and what makes orders of them trade.

    Attributes:
        traded: how many trades there were: trade ids count them.
        external: the real flow's orders in the book, by the venue's id.
        tape: the trades since somebody took them, or None: not kept.
    """

    def __init__(self, market: Market, self_trade: SelfTrade, *, tape: bool) -> None:
        self.bids = Half()
        self.asks = Half()
        self.units = Units(market)
        self.external: dict[str, Order] = {}
        self.traded = 0
        self.tape: list[Trade] | None = [] if tape else None
        self._self_trade = self_trade

    def own(self, order: Order) -> Half:
        """The half in which it rests."""
        return self.bids if order.buy else self.asks

    def crosses(self, order: Order, limit: int) -> Order | None:
        """The resting order that it would trade with first."""
        half = self.asks if order.buy else self.bids
        return half.first() if half.keys and half.keys[-1] >= limit else None

    def prevents(self, first: Order, client: Client) -> bool:
        """Whether an order of the client is refused because ``first`` is its own."""
        return first.client is client and self._self_trade is SelfTrade.CANCEL_NEWEST

    def match(self, taker: Order, limit: int, time_ms: int, told: list[Addressed]) -> bool:
        """Trade with every level whose key is ``limit`` or more; False: self-trade prevention ends the order."""
        half = self.asks if taker.buy else self.bids
        keys = half.keys
        while taker.left and keys and keys[-1] >= limit:
            key = keys[-1]
            level = half.levels[key]
            while level and taker.left:
                maker = next(iter(level))
                if (
                    maker.client is taker.client
                    and maker.client is not None
                    and self._self_trade is not SelfTrade.ALLOW
                ):
                    if self._self_trade is not SelfTrade.CANCEL_NEWEST:
                        del level[maker]
                        told.append((maker.client.owner, self.cancelled(maker)))
                    if self._self_trade is not SelfTrade.CANCEL_OLDEST:
                        if not level:
                            half.drop(key)
                        return False
                    continue
                lots = min(taker.left, maker.left)
                self._trade(taker, maker, lots, time_ms, told)
                if not maker.left:
                    del level[maker]
            if not level:
                half.drop(key)
        return True

    def cancelled(self, order: Order) -> Cancelled:
        """End an order of a client that is out of its half; what it held is free again."""
        client = order.client
        assert client is not None
        if client.balance:
            if order.buy:
                client.balance.held_quote -= order.left * order.hold
            else:
                client.balance.held_lots -= order.left if order.hold else 0
        client.end(order, Lifecycle.CANCELLED)
        return Cancelled(order.order_id, order.lots - order.left)

    def _trade(self, taker: Order, maker: Order, lots: int, time_ms: int, told: list[Addressed]) -> None:
        self.traded += 1
        trade_id = f"P{self.traded}"
        taker.left -= lots
        maker.left -= lots
        for order, is_maker in ((maker, True), (taker, False)):
            client = order.client
            if client is None:
                if is_maker and not order.left:
                    del self.external[order.order_id]
                continue
            cells = maker.ticks * lots
            fee = cells * (self.units.maker if is_maker else self.units.taker)
            if client.balance:
                self._settle(client, order, cells, lots, fee)
            fill = Fill(
                order.order_id, trade_id, order.side, maker.ticks, lots, self.units.decimal(fee), is_maker, time_ms
            )
            if order.fills is None:
                order.fills = []
            order.fills.append(fill)
            client.fills.append(fill)
            told.append((client.owner, fill))
            if not order.left:
                client.end(order, Lifecycle.FILLED)
        if self.tape is not None:
            self.tape.append(Trade(trade_id, taker.side, maker.ticks, lots, _name_of(maker), _name_of(taker), time_ms))

    def _settle(self, client: Client, order: Order, cells: int, lots: int, fee: int) -> None:
        balance = client.balance
        assert balance is not None
        notional = cells * self.units.notional
        if order.buy:
            balance.held_quote -= lots * order.hold
            balance.quote -= notional + fee
            balance.lots += lots
        else:
            balance.held_lots -= lots if order.hold else 0
            balance.lots -= lots
            balance.quote += notional - fee


def _name_of(order: Order) -> tuple[str | None, str]:
    return (order.client.owner if order.client else None), order.order_id
