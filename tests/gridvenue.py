"""A venue for tests of the grid: tiny, and obviously right. It has one price, and loses and doubles nothing (see gridworld)."""

from dataclasses import dataclass
from decimal import Decimal

from m1cep.grid.orders import (
    Accepted,
    AskFills,
    AskOpenOrders,
    AskOrder,
    Cancel,
    CancelAll,
    Cancelled,
    CancelRejected,
    Fill,
    Lifecycle,
    OpenOrders,
    OrderState,
    Place,
    Rejected,
    Side,
)


@dataclass
class Resting:
    side: Side
    ticks: int
    lots: int
    state: Lifecycle = Lifecycle.OPEN
    filled: int = 0

    @property
    def left(self):
        return self.lots - self.filled if self.state is Lifecycle.OPEN else 0


class Venue:
    def __init__(self, market, price):
        self.market, self.price, self.time_ms = market, price, 1
        self.orders = {}
        self.trades = []

    def take(self, command):
        """What it answers."""
        match command:
            case Place():
                return self._place(command)
            case Cancel(order_id):
                return [self._cancel(order_id)]
            case CancelAll(order_ids):
                return [self._cancel(i) for i in order_ids or [i for i, o in self.orders.items() if o.left]]
            case AskOrder(order_id, question):
                return [self._state(order_id, question)]
            case AskFills(order_id):
                return [trade for trade in self.trades if trade.order_id == order_id]
            case AskOpenOrders(question):
                return [OpenOrders(tuple(self._state(i, 0) for i, o in self.orders.items() if o.left), question)]
        raise AssertionError(command)

    def _place(self, new):
        known = self.orders.get(new.order_id)
        if known is not None:
            return [
                Rejected(new.order_id, "post_only") if known.state is Lifecycle.REJECTED else Accepted(new.order_id)
            ]
        order = self.orders[new.order_id] = Resting(new.side, new.ticks, new.lots)
        crosses = (new.ticks > self.price) if new.side is Side.BUY else (new.ticks < self.price)
        if crosses and not new.post_only:
            return [Accepted(new.order_id), self._trade(new.order_id, order, (new.lots + 1) // 2, self.price)]
        if crosses:
            order.state = Lifecycle.REJECTED
            return [Rejected(new.order_id, "post_only")]
        return [Accepted(new.order_id)]

    def _cancel(self, order_id):
        order = self.orders.get(order_id)
        if order is None or not order.left:
            return CancelRejected(order_id, "not found")
        order.state = Lifecycle.CANCELLED
        return Cancelled(order_id, order.filled)

    def _state(self, order_id, question):
        order = self.orders.get(order_id)
        if order is None:
            return OrderState(order_id, Lifecycle.UNKNOWN, question=question)
        return OrderState(order_id, order.state, order.lots, order.filled, question)

    def move(self, price, at_the_price):
        """The market goes to a price: what it passes is filled, of what stands at it so many lots of each."""
        fills = []
        down = price < self.price
        for order_id, order in sorted(self.orders.items(), key=lambda item: -item[1].ticks if down else item[1].ticks):
            passed = order.ticks > price if order.side is Side.BUY else order.ticks < price
            lots = order.left if passed else min(order.left, at_the_price) if order.ticks == price else 0
            if lots:
                fills.append(self._trade(order_id, order, lots))
        self.price = price
        return fills

    def _trade(self, order_id, order, lots, ticks=0):
        ticks = ticks or order.ticks
        order.filled += lots
        if order.filled == order.lots:
            order.state = Lifecycle.FILLED
        self.time_ms += 1
        fee = self.market.notional(ticks, lots) * self.market.maker_fee
        trade = Fill(order_id, f"t{len(self.trades)}", order.side, ticks, lots, Decimal(fee), True, self.time_ms)
        self.trades.append(trade)
        return trade
