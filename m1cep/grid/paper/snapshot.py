"""An exchange as plain values and back.

{
  "traded":   trades so far
  "clients":  [owner, balance, orders, ended, fills]; an order: [id, buys, ticks, lots, left, hold, lifecycle, reason, fills]
  "external": orders of the real flow, likewise
  "book":     the orders of the bids, then of the asks, each (owner or None, id), from the worst key to the best, the oldest first
}
"""

from __future__ import annotations

from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

from m1cep.grid.orders import Fill, Lifecycle, Side
from m1cep.grid.paper.book import Order
from m1cep.grid.paper.client import Client
from m1cep.grid.paper.money import Balance

if TYPE_CHECKING:
    from m1cep.grid.paper.matching import Matcher


def state(matcher: Matcher, clients: dict[str, Client]) -> dict[str, Any]:
    """Everything that later operations depend on."""
    return {
        "traded": matcher.traded,
        "clients": [_client_state(client) for client in clients.values()],
        "external": [_order_state(order) for order in matcher.external.values()],
        "book": [
            [
                (order.client.owner if order.client else None, order.order_id)
                for order in chain.from_iterable(half.levels[key] for key in half.keys)
            ]
            for half in (matcher.bids, matcher.asks)
        ],
    }


def load(state: Any, matcher: Matcher, remember: int) -> dict[str, Client]:
    """Fill a fresh matcher; returns the clients."""
    matcher.traded = state["traded"]
    clients = {client.owner: client for client in (_client(plain, remember) for plain in state["clients"])}
    external = matcher.external = {
        order.order_id: order for order in (_order(plain, None) for plain in state["external"])
    }
    for half, orders in zip((matcher.bids, matcher.asks), state["book"], strict=True):
        for owner, order_id in orders:
            half.add(external[order_id] if owner is None else clients[owner].orders[order_id])
    return clients


def _client_state(client: Client) -> list[Any]:
    balance = client.balance
    return [
        client.owner,
        balance and [balance.lots, balance.quote, balance.held_lots, balance.held_quote],
        [_order_state(order) for order in client.orders.values()],
        list(client.open),
        list(client.ended),
        [_fill_state(fill) for fill in client.fills],
    ]


def _client(plain: Any, remember: int) -> Client:
    owner, balance, orders, opened, ended, fills = plain
    client = Client(owner, remember)
    client.balance = balance and Balance(*balance)
    client.ended.extend(ended)
    kept = {*opened, *client.ended}  # fewer are remembered than when the snapshot was taken
    client.orders = {order[0]: _order(order, client) for order in orders if order[0] in kept}
    client.open = {order_id: client.orders[order_id] for order_id in opened}
    client.fills.extend(_fill(fill) for fill in fills)
    return client


def _order_state(order: Order) -> list[Any]:
    return [
        order.order_id,
        order.buy,
        order.ticks,
        order.lots,
        order.left,
        order.hold,
        order.lifecycle.value,
        order.reason,
        [_fill_state(fill) for fill in order.fills or ()],
    ]


def _order(plain: Any, client: Client | None) -> Order:
    order_id, buy, ticks, lots, left, hold, lifecycle, reason, fills = plain
    order = Order(client, order_id, Side.BUY if buy else Side.SELL, ticks, lots)
    order.left, order.hold, order.lifecycle, order.reason = left, hold, Lifecycle(lifecycle), reason
    order.fills = [_fill(fill) for fill in fills] or None
    return order


def _fill_state(fill: Fill) -> list[Any]:
    return [
        fill.order_id,
        fill.trade_id,
        fill.side.value,
        fill.ticks,
        fill.lots,
        fill.fee,
        fill.maker,
        fill.time_ms,
    ]


def _fill(plain: Any) -> Fill:
    order_id, trade_id, side, ticks, lots, fee, maker, time_ms = plain
    return Fill(order_id, trade_id, Side(side), ticks, lots, Decimal(fee), maker, time_ms)
