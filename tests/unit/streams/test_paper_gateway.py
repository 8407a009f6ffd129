"""The paper exchange behind the gateway's calls: what a real venue answers, this one does."""

import asyncio
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
    Lifecycle,
    Market,
    OpenOrders,
    OrderState,
    Place,
    PlaceMarket,
    Rejected,
    Side,
)
from m1cep.grid.paper import Exchange
from streams.gateways import PaperGateway, carry_out

MARKET = Market("BTC-USD", Decimal(1), Decimal("0.1"), maker_fee=Decimal("0.001"))


def test_every_command_of_the_grid_is_answered():
    exchange = Exchange(MARKET)
    clock = iter(range(1_000, 2_000))
    us, them = (PaperGateway(exchange, owner, lambda: next(clock)) for owner in ("us", "them"))

    def told(gateway, command):
        return list(asyncio.run(carry_out(gateway, command)))

    assert us.market is MARKET
    assert told(us, Place("a", Side.BUY, 100, 10)) == [Accepted("a")]
    assert told(us, Place("b", Side.BUY, 99, 10)) == [Accepted("b")]
    assert told(them, PlaceMarket("x", Side.SELL, 4)) == [Accepted("x")]  # fills come by ``fills``, theirs and ours
    assert told(us, Place("a", Side.BUY, 100, 10)) == [Accepted("a")]
    assert told(us, Place("c", Side.SELL, 100, 1)) == [Rejected("c", "post_only")]
    open_a, open_b = OrderState("a", Lifecycle.OPEN, 10, 4), OrderState("b", Lifecycle.OPEN, 10, 0)
    assert told(us, AskOpenOrders()) == [OpenOrders((open_a, open_b))]
    assert told(us, AskOrder("a")) == [open_a]
    (fill,) = asyncio.run(us.fills(0))
    assert (fill.order_id, fill.lots, fill.fee, fill.maker, fill.time_ms) == ("a", 4, Decimal("0.04"), True, 1_002)
    assert asyncio.run(us.fills(1_003)) == []
    assert told(us, AskFills("a")) == [fill]
    assert told(us, Place("a", Side.BUY, 100, 10, expires_ms=1)) == [Accepted("a")]
    assert told(us, Place("d", Side.BUY, 98, 10, expires_ms=1)) == [Rejected("d", "expired")]
    assert told(us, Cancel("a")) == [Cancelled("a", 4)]
    assert told(us, Cancel("a")) == [CancelRejected("a", "cancelled")]
    assert told(us, CancelAll()) == [Cancelled("b", 0)]
    assert told(them, AskOrder("a")) == [OrderState("a", Lifecycle.UNKNOWN)]
