"""What the synthetic orders and fills consist of: markets, orders, and the events that tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.demo.population import Account

Timed = tuple[int, str, dict[str, Any]]  # event time in ms, stream, event

MARKETS = (  # symbol, first price, decimals of the price, share of the trading
    ("BTC-USD", 78_380.0, 0, 0.40),
    ("ETH-USD", 2_310.0, 2, 0.25),
    ("SOL-USD", 84.0, 3, 0.15),
    ("XRP-USD", 1.39, 5, 0.10),
    ("LTC-USD", 55.0, 3, 0.10),
)
FEE = 0.001  # of the notional, either side
OTHER = {"buy": "sell", "sell": "buy"}


class Market:
    """A symbol: its price, which wanders, and the orders resting on either side."""

    __slots__ = ("decimals", "mid", "resting", "symbol")

    def __init__(self, symbol: str, mid: float, decimals: int) -> None:
        self.symbol = symbol
        self.mid = mid
        self.decimals = decimals
        self.resting: dict[str, list[Order]] = {"buy": [], "sell": []}


class Order:
    """An order. ``at`` is its place in the list of resting orders, -1 when it is in none."""

    __slots__ = ("account", "at", "id", "market", "open", "price", "side")

    def __init__(self, id_: str, account: Account, market: Market, side: str, price: float | None, qty: float) -> None:
        self.id = id_
        self.account = account
        self.market = market
        self.side = side
        self.price = price
        self.open = qty
        self.at = -1


def order_event(order: Order, action: str, qty: float, ts: int) -> dict[str, Any]:
    """An event of the ``orders`` stream; ``action`` is new or cancel."""
    return {
        "event_id": f"{order.id}-{action}",
        "account": order.account.id,
        "order_id": order.id,
        "symbol": order.market.symbol,
        "action": action,
        "side": order.side,
        "price": order.price,
        "qty": qty,
        "ts": ts,
    }


def both_fills(ts: int, trade_id: str, taker: Order, maker: Order, price: float, qty: float) -> list[Timed]:
    """The two events of a trade, the taker's first."""
    fee = round(price * qty * FEE, 6)
    fills: list[Timed] = []
    for mine, other in ((taker, maker), (maker, taker)):
        event = {
            "event_id": f"{trade_id}-{mine.side}",
            "account": mine.account.id,
            "owner": mine.account.owner,
            "order_id": mine.id,
            "trade_id": trade_id,
            "symbol": mine.market.symbol,
            "side": mine.side,
            "price": price,
            "qty": qty,
            "fee": fee,
            "counterparty": other.account.id,
            "counterparty_owner": other.account.owner,
            "ts": ts,
        }
        fills.append((ts, "fills", event))
    return fills
