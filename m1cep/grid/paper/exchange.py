"""The paper exchange: commands of clients and operations of the real flow in, reports to their owners out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from m1cep.grid.orders import (
    Accepted,
    AskFills,
    AskOpenOrders,
    AskOrder,
    Cancel,
    CancelAll,
    CancelRejected,
    Fill,
    Lifecycle,
    OpenOrders,
    OrderState,
    Place,
    PlaceMarket,
    Rejected,
    Side,
)
from m1cep.grid.paper import snapshot
from m1cep.grid.paper.book import ANY_PRICE, Order
from m1cep.grid.paper.client import Client, reports, state_of
from m1cep.grid.paper.matching import Addressed, Matcher, SelfTrade, Trade
from m1cep.grid.paper.money import Balance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from m1cep.grid.orders import Command, Market


class Exchange:
    """A price-time priority matcher of one market.

    Args:
        market: ticks, lots, fees, smallest notional.
        self_trade: what happens where an owner would trade with itself.
        tape: keep every trade for ``take_trades``.
        remember: how many ended orders of a client (and fills) are remembered: an id that comes again after that many
            others have ended is a new order.

    Raises:
        ValueError: ``remember`` is less than 1.
    """

    def __init__(
        self,
        market: Market,
        *,
        self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST,
        tape: bool = False,
        remember: int = 10_000,
    ) -> None:
        if remember < 1:
            raise ValueError(f"expected to remember at least one order, got {remember}")
        self.market = market
        self._remember = remember
        self._matcher = Matcher(market, self_trade, tape=tape)
        self._clients: dict[str, Client] = {}
        self._does: dict[type, Callable[[Client, Any, int], list[Addressed]]] = {
            Place: self._place,
            PlaceMarket: self._place_market,
            Cancel: self._cancel,
            CancelAll: self._cancel_all,
            AskOpenOrders: self._open_orders,
            AskOrder: self._order,
            AskFills: self._fills,
        }

    # -- clients

    def execute(self, owner: str, command: Command, time_ms: int) -> list[Addressed]:
        """Carry out a command: who is told what, in the order in which it happened."""
        client = self._clients.get(owner) or self._join(owner)
        return self._does[type(command)](client, command, time_ms)

    def deposit(self, owner: str, *, lots: int = 0, quote: Decimal) -> None:
        """Give a client a balance; from now on its orders must be covered by it. Before its first order.

        Raises:
            ValueError: the amount cannot be counted, or the client has open orders that hold nothing.
        """
        client = self._clients.get(owner) or self._join(owner)
        balance = client.balance
        if balance is None:
            if client.open:
                raise ValueError(f"expected the first deposit of {owner!r} before its orders, got it after")
            balance = client.balance = Balance()
        balance.lots += lots
        balance.quote += self._matcher.units.of(quote)

    def balance(self, owner: str) -> tuple[int, Decimal] | None:
        """Lots and quote of a client, what its open orders hold included; None: it has no balance."""
        client = self._clients.get(owner)
        if client is None or client.balance is None:
            return None
        return client.balance.lots, self._matcher.units.decimal(client.balance.quote)

    def knows(self, owner: str, order_id: str) -> bool:
        """Whether the client has had such an order, as far back as they are remembered."""
        client = self._clients.get(owner)
        return client is not None and order_id in client.orders

    def fills(self, owner: str, since_ms: int) -> list[Fill]:
        """Fills of a client from a time on (inclusive), as far back as they are remembered."""
        client = self._clients.get(owner)
        return [fill for fill in client.fills if fill.time_ms >= since_ms] if client else []

    # -- the real flow

    def external_place(
        self, order_id: str, side: Side, ticks: int | None, lots: int, time_ms: int, *, post_only: bool = False
    ) -> list[Addressed]:
        """An order of the real flow, by the venue's id; without ``ticks`` a market order. A known id changes nothing."""
        if order_id in self._matcher.external or lots <= 0:
            return []
        order = Order(None, order_id, side, ticks or 0, lots)
        limit = ANY_PRICE if ticks is None else order.limit
        if post_only and self._matcher.crosses(order, limit):
            return []
        told: list[Addressed] = []
        self._matcher.match(order, limit, time_ms, told)
        if order.left and ticks is not None:
            self._matcher.external[order_id] = order
            self._matcher.own(order).add(order)
        return told

    def external_trade(self, side: Side, ticks: int, lots: int, time_ms: int) -> list[Addressed]:
        """A trade of the real market, where only trades are known: ``side`` takes up to ``lots`` at ``ticks`` or better."""
        order = Order(None, "", side, ticks, lots)
        told: list[Addressed] = []
        self._matcher.match(order, order.limit, time_ms, told)
        return told

    def external_reduce(self, order_id: str, left: int) -> None:
        """So much is left of an order of the real flow; it keeps its place, and never grows."""
        order = self._matcher.external.get(order_id)
        if order and left < order.left:
            order.left = left
            if left <= 0:
                self.external_cancel(order_id)

    def external_cancel(self, order_id: str) -> None:
        """An order of the real flow is gone; an unknown one changes nothing."""
        if order := self._matcher.external.pop(order_id, None):
            self._matcher.own(order).remove(order)

    # -- queries

    def best(self, side: Side) -> tuple[int, int] | None:
        """Ticks and lots of the best level."""
        return next(self.levels(side), None)

    def levels(self, side: Side) -> Iterator[tuple[int, int]]:
        """Ticks and lots of each level, the best first."""
        half = self._matcher.bids if side is Side.BUY else self._matcher.asks
        for key in reversed(half.keys):
            yield abs(key), sum(order.left for order in half.levels[key])

    def take_trades(self) -> list[Trade]:
        """The trades since the last call; none if the exchange was made without ``tape``."""
        taken = self._matcher.tape or []
        if taken:
            self._matcher.tape = []
        return taken

    # -- snapshot

    def state(self) -> Any:
        """Everything but the market, the settings and the trades not yet taken, as plain values."""
        return snapshot.state(self._matcher, self._clients)

    def load(self, state: Any) -> None:
        """Take over what ``state()`` gave, on a fresh exchange of the same market and settings."""
        self._clients = snapshot.load(state, self._matcher, self._remember)

    # -- commands

    def _join(self, owner: str) -> Client:
        client = self._clients[owner] = Client(owner, self._remember)
        return client

    def _place(self, client: Client, command: Place, time_ms: int) -> list[Addressed]:
        if known := client.orders.get(command.order_id):
            return [(client.owner, report) for report in reports(known)]
        order = Order(client, command.order_id, command.side, command.ticks, command.lots)
        limit = order.limit
        first = self._matcher.crosses(order, limit)
        if command.ticks <= 0:
            reason = "tick"
        elif command.lots <= 0:
            reason = "lot"
        elif command.ticks * command.lots < self._matcher.units.least:
            reason = "min_notional"
        elif first and command.post_only:
            reason = "post_only"
        elif first and self._matcher.prevents(first, client):
            reason = "self_trade"
        elif client.balance and not self._hold(client.balance, order):
            reason = "balance"
        else:
            return self._enter(client, order, limit, time_ms, matches=first is not None)
        return self._reject(client, order, reason)

    def _place_market(self, client: Client, command: PlaceMarket, time_ms: int) -> list[Addressed]:
        if known := client.orders.get(command.order_id):
            return [(client.owner, report) for report in reports(known)]
        order = Order(client, command.order_id, command.side, 0, command.lots)
        first = self._matcher.crosses(order, ANY_PRICE)
        if command.lots <= 0:
            return self._reject(client, order, "lot")
        if first and self._matcher.prevents(first, client):
            return self._reject(client, order, "self_trade")
        if client.balance and not self._covers(client.balance, order):
            return self._reject(client, order, "balance")
        return self._enter(client, order, ANY_PRICE, time_ms, matches=first is not None)

    def _enter(self, client: Client, order: Order, limit: int, time_ms: int, *, matches: bool) -> list[Addressed]:
        """Accept an order, trade what trades, leave the rest in the book (of a market order: cancel it)."""
        client.orders[order.order_id] = order
        told: list[Addressed] = [(client.owner, Accepted(order.order_id))]
        stays = not matches or self._matcher.match(order, limit, time_ms, told)
        if order.left:
            if stays and order.ticks:
                client.open[order.order_id] = order
                self._matcher.own(order).add(order)
            else:
                told.append((client.owner, self._matcher.cancelled(order)))
        return told

    def _reject(self, client: Client, order: Order, reason: str) -> list[Addressed]:
        order.reason = reason
        client.orders[order.order_id] = order
        client.end(order, Lifecycle.REJECTED)
        return [(client.owner, Rejected(order.order_id, reason))]

    def _hold(self, balance: Balance, order: Order) -> bool:
        """Hold what a limit order may cost at most; False: there is not enough."""
        if order.buy:
            hold = order.ticks * self._matcher.units.held
            if balance.quote - balance.held_quote < hold * order.left:
                return False
            order.hold = hold
            balance.held_quote += hold * order.left
        else:
            if balance.lots - balance.held_lots < order.left:
                return False
            order.hold = 1
            balance.held_lots += order.left
        return True

    def _covers(self, balance: Balance, order: Order) -> bool:
        """Whether a market order can be paid: what it would trade now, at the taker's fee."""
        if not order.buy:
            return balance.lots - balance.held_lots >= order.left
        left, cells = order.left, 0
        for ticks, lots in self.levels(Side.SELL):
            cells += ticks * min(left, lots)
            left -= min(left, lots)
            if not left:
                break
        units = self._matcher.units
        return balance.quote - balance.held_quote >= cells * (units.notional + units.taker)

    def _cancel(self, client: Client, command: Cancel, _time_ms: int) -> list[Addressed]:
        order = client.open.get(command.order_id)
        if order is None:
            known = client.orders.get(command.order_id)
            reason = known.lifecycle.value if known else Lifecycle.UNKNOWN.value
            return [(client.owner, CancelRejected(command.order_id, reason))]
        self._matcher.own(order).remove(order)
        return [(client.owner, self._matcher.cancelled(order))]

    def _cancel_all(self, client: Client, command: CancelAll, time_ms: int) -> list[Addressed]:
        order_ids = command.order_ids or tuple(client.open)
        return [told for order_id in order_ids for told in self._cancel(client, Cancel(order_id), time_ms)]

    def _open_orders(self, client: Client, command: AskOpenOrders, _time_ms: int) -> list[Addressed]:
        orders = tuple(state_of(order) for order in client.open.values())
        return [(client.owner, OpenOrders(orders, question=command.question))]

    def _order(self, client: Client, command: AskOrder, _time_ms: int) -> list[Addressed]:
        order = client.orders.get(command.order_id)
        answer = state_of(order) if order else OrderState(command.order_id, Lifecycle.UNKNOWN)
        return [(client.owner, replace(answer, question=command.question))]

    def _fills(self, client: Client, command: AskFills, _time_ms: int) -> list[Addressed]:
        order = client.orders.get(command.order_id)
        return [(client.owner, fill) for fill in (order.fills if order and order.fills else ())]
