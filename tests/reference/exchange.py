"""The paper exchange again, slow and obvious: one list of orders, sorted anew for every trade; everything is recomputed."""

from dataclasses import dataclass, field
from decimal import Decimal

from m1cep.grid.orders import (
    Accepted,
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
    PlaceMarket,
    Rejected,
    Side,
)


@dataclass
class Order:
    owner: str | None
    order_id: str
    side: Side
    ticks: int | None  # None: at any price
    lots: int
    left: int
    came: int = 0  # the higher, the later
    lifecycle: Lifecycle = Lifecycle.OPEN
    told: list = field(default_factory=list)


class NaiveExchange:
    def __init__(self, market, self_trade):
        self.market = market
        self.self_trade = self_trade
        self.orders = []  # all that ever were, in the order in which they came
        self.cash = {}  # by owner with a balance
        self.base = {}
        self.trades = 0

    # -- looking

    def find(self, owner, order_id):
        return next((o for o in self.orders if (o.owner, o.order_id) == (owner, order_id)), None)

    def resting(self):
        return [o for o in self.orders if o.lifecycle is Lifecycle.OPEN]

    def against(self, order):
        """Resting orders that it may trade with, the best and oldest first."""
        buys = order.side is Side.BUY
        found = [
            o
            for o in self.resting()
            if o is not order
            and o.side is not order.side
            and (order.ticks is None or (o.ticks <= order.ticks if buys else o.ticks >= order.ticks))
        ]
        return sorted(found, key=lambda o: (o.ticks if buys else -o.ticks, o.came))

    def free(self, owner):
        """Lots and quote that no open order needs."""
        worst = max(self.market.maker_fee, self.market.taker_fee, Decimal(0))
        mine = [o for o in self.resting() if o.owner == owner]
        held = sum(self.market.notional(o.ticks, o.left) * (1 + worst) for o in mine if o.side is Side.BUY)
        return self.base[owner] - sum(o.left for o in mine if o.side is Side.SELL), self.cash[owner] - held

    def covered(self, order):
        if order.owner not in self.cash:
            return True
        lots, quote = self.free(order.owner)
        if order.side is Side.SELL:
            return lots >= order.lots
        if order.ticks is not None:
            worst = max(self.market.maker_fee, self.market.taker_fee, Decimal(0))
            return quote >= self.market.notional(order.ticks, order.lots) * (1 + worst)
        left, cost = order.lots, Decimal(0)
        for other in self.against(order):
            cost += self.market.notional(other.ticks, min(left, other.left)) * (1 + self.market.taker_fee)
            left -= min(left, other.left)
        return quote >= cost

    # -- doing

    def execute(self, owner, command, time_ms):
        out = []
        match command:
            case Place() | PlaceMarket():
                if known := self.find(owner, command.order_id):
                    return [(owner, report) for report in known.told]
                ticks = command.ticks if isinstance(command, Place) else None
                order = Order(owner, command.order_id, command.side, ticks, command.lots, command.lots)
                if reason := self.refusal(order, post_only=isinstance(command, Place) and command.post_only):
                    order.lifecycle = Lifecycle.REJECTED
                    self.tell(out, order, Rejected(order.order_id, reason))
                    self.orders.append(order)
                else:
                    self.tell(out, order, Accepted(order.order_id))
                    self.enter(order, time_ms, out)
            case Cancel(order_id):
                order = self.find(owner, order_id)
                if order and order.lifecycle is Lifecycle.OPEN:
                    self.cancel(order, out)
                else:
                    out.append((owner, CancelRejected(order_id, order.lifecycle.value if order else "unknown")))
            case CancelAll():
                for order in [o for o in self.resting() if o.owner == owner]:
                    self.cancel(order, out)
            case AskOpenOrders():
                mine = [o for o in self.resting() if o.owner == owner]
                out.append((owner, OpenOrders(tuple(self.state_of(o) for o in mine))))
            case AskOrder(order_id):
                order = self.find(owner, order_id)
                out.append((owner, self.state_of(order) if order else OrderState(order_id, Lifecycle.UNKNOWN)))
        return out

    def state_of(self, order):
        return OrderState(order.order_id, order.lifecycle, order.lots, order.lots - order.left)

    def refusal(self, order, *, post_only):
        others = self.against(order)
        if order.ticks is not None and order.ticks <= 0:
            return "tick"
        if order.lots <= 0:
            return "lot"
        if order.ticks is not None and self.market.notional(order.ticks, order.lots) < self.market.min_notional:
            return "min_notional"
        if post_only and others:
            return "post_only"
        if others and others[0].owner == order.owner and self.self_trade == "cancel_newest":
            return "self_trade"
        return "" if self.covered(order) else "balance"

    def external_place(self, order_id, side, ticks, lots, time_ms, *, post_only=False):
        out = []
        known = self.find(None, order_id)
        if lots <= 0 or (known and known.lifecycle is Lifecycle.OPEN):
            return out
        if known:
            self.orders.remove(known)
        order = Order(None, order_id, side, ticks, lots, lots)
        if not (post_only and self.against(order)):
            self.enter(order, time_ms, out)
        return out

    def external_reduce(self, order_id, left):
        order = self.find(None, order_id)
        if order and order.lifecycle is Lifecycle.OPEN and left < order.left:
            order.left = left
            if left <= 0:
                order.lifecycle = Lifecycle.CANCELLED

    def external_cancel(self, order_id):
        order = self.find(None, order_id)
        if order and order.lifecycle is Lifecycle.OPEN:
            order.lifecycle = Lifecycle.CANCELLED

    def enter(self, order, time_ms, out):
        order.came = max((o.came for o in self.orders), default=0) + 1
        self.orders.append(order)
        while order.left and (others := self.against(order)):
            other = others[0]
            if order.owner is not None and other.owner == order.owner and self.self_trade != "allow":
                if self.self_trade in ("cancel_oldest", "cancel_both"):
                    self.cancel(other, out)
                if self.self_trade in ("cancel_newest", "cancel_both"):
                    self.cancel(order, out)
                    return
                continue
            self.trade(order, other, time_ms, out)
        if not order.left:
            order.lifecycle = Lifecycle.FILLED
        elif order.ticks is None:
            self.cancel(order, out)

    def trade(self, taker, maker, time_ms, out):
        self.trades += 1
        lots = min(taker.left, maker.left)
        notional = self.market.notional(maker.ticks, lots)
        for order, rate in ((maker, self.market.maker_fee), (taker, self.market.taker_fee)):
            order.left -= lots
            if not order.left:
                order.lifecycle = Lifecycle.FILLED
            if order.owner is None:
                continue
            fee = notional * rate
            if order.owner in self.cash:
                sign = 1 if order.side is Side.BUY else -1
                self.base[order.owner] += sign * lots
                self.cash[order.owner] -= sign * notional + fee
            fill = Fill(order.order_id, f"P{self.trades}", order.side, maker.ticks, lots, fee, order is maker, time_ms)
            self.tell(out, order, fill)

    def cancel(self, order, out):
        order.lifecycle = Lifecycle.CANCELLED
        if order.owner is not None:
            self.tell(out, order, Cancelled(order.order_id, order.lots - order.left))

    def tell(self, out, order, report):
        order.told.append(report)
        out.append((order.owner, report))
