"""The gateway to a real venue, against a server that speaks Binance's API and loses requests and replies."""

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from decimal import Decimal

import pytest

pytest.importorskip("ccxt", reason="the extra ccxt is not installed")

from binance_stand_in import KEY, MARKET, SECRET, US, stand_in

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
    OpenOrders,
    OrderState,
    Place,
    PlaceMarket,
    Rejected,
    Side,
)
from streams.gateways import GatewayError, OutcomeUnknown, carry_out
from streams.gateways.ccxt_gateway import CcxtGateway
from streams.gateways.ccxt_words import fee_in_quote

BUY = Place("grid-1", Side.BUY, 7_800_001, 123)  # 78000.01 USDT, 0.00123 BTC


def run(scenario, *, patience_s=5.0, settle_s=0.3, secret=SECRET, follows=False):
    """Run a coroutine on a fresh venue and a gateway to it."""

    async def inside():
        async with stand_in() as venue:
            config = {
                "apiKey": KEY,
                "secret": secret,
                "rateLimit": 1,
                "timeout": 3000,
            }
            how = {"url": venue.url, "settle_s": settle_s, "patience_s": patience_s, "follows": follows}
            gateway = await CcxtGateway.connect("binance", "BTC/USDT", config, **how)
            async with gateway:
                return await scenario(gateway, venue)

    return asyncio.run(inside())


def trade(venue, *, side=Side.SELL, ticks=7_800_001, lots=23, name="other", time_ms=1_000):
    """Somebody else's order against ours."""
    return venue.core.execute("other", Place(name, side, ticks, lots, post_only=False), time_ms)


def test_the_market_is_what_the_venue_says():
    async def scenario(gateway, _venue):
        return gateway.market

    assert run(scenario) == MARKET


def test_an_order_is_placed_filled_and_cancelled_exactly():
    async def scenario(gateway, venue):
        assert await carry_out(gateway, BUY) == [Accepted("grid-1")]
        trade(venue)
        assert await carry_out(gateway, AskOrder("grid-1")) == [OrderState("grid-1", Lifecycle.OPEN, 123, 23)]
        assert await carry_out(gateway, AskOpenOrders()) == [
            OpenOrders((OrderState("grid-1", Lifecycle.OPEN, 123, 23),))
        ]
        (fill,) = await gateway.fills(0)
        assert (fill.order_id, fill.side, fill.ticks, fill.lots) == ("grid-1", Side.BUY, 7_800_001, 23)
        assert fill.fee == Decimal("78000.01") * Decimal("0.00023") * Decimal("0.001")
        assert (fill.maker, fill.time_ms) == (True, 1_000)
        assert await gateway.fills(1_001) == []
        assert await carry_out(gateway, Cancel("grid-1")) == [Cancelled("grid-1", 23)]
        assert await carry_out(gateway, AskOpenOrders()) == [OpenOrders(())]

    run(scenario)


def now_ms():
    return time.time_ns() // 1_000_000


def test_every_fill_of_an_order_is_told_once_more():
    async def scenario(gateway, venue):
        assert await carry_out(gateway, AskFills("grid-1")) == []
        await gateway.place(BUY)
        await gateway.place(replace(BUY, order_id="grid-2", ticks=7_800_000))
        trade(venue, lots=23)
        trade(venue, lots=123, ticks=7_800_000, name="another", time_ms=1_001)
        told = [(fill.trade_id, fill.lots) for fill in await carry_out(gateway, AskFills("grid-1"))]
        assert [lots for _, lots in told] == [23, 100]
        assert told == [(fill.trade_id, fill.lots) for fill in await gateway.fills(0) if fill.order_id == "grid-1"]

    run(scenario)


def test_the_price_is_that_of_the_newest_trade():
    async def scenario(gateway, venue):
        assert await gateway.price() is None
        await gateway.place(BUY)
        trade(venue, time_ms=1_007)
        assert await gateway.price() == (1_007, 7_800_001)

    run(scenario)


def test_an_order_whose_time_has_passed_is_not_sent_but_one_that_is_there_is_told():
    async def scenario(gateway, venue):
        late = replace(BUY, expires_ms=now_ms() - 1)
        assert await gateway.place(late) == [Rejected("grid-1", "expired")]
        assert await gateway.place(late, fresh=True) == [Rejected("grid-1", "expired")]
        assert venue.seen("POST order") == []
        await gateway.place(BUY)
        assert await gateway.place(late) == [Accepted("grid-1")]
        return len(venue.seen("POST order"))

    assert run(scenario) == 1


def test_an_order_whose_time_passes_while_the_venue_has_us_wait_is_not_sent_again():
    async def scenario(gateway, venue):
        body = {"code": -1003, "msg": "Too much request weight used."}
        venue.fail("POST order", "status", status=429, body=body, headers={"Retry-After": "1"})
        assert await gateway.place(replace(BUY, expires_ms=now_ms() + 900)) == [Rejected("grid-1", "expired")]
        return len(venue.seen("POST order"))

    assert run(scenario) == 1


def test_a_lost_order_whose_time_has_passed_is_given_up_only_when_it_cannot_come_any_more():
    async def scenario(gateway, venue):
        venue.fail("POST order", "lose_request")
        began = time.monotonic()
        assert await gateway.place(replace(BUY, expires_ms=now_ms() + 700)) == [Rejected("grid-1", "expired")]
        assert time.monotonic() - began >= 0.9  # settle_s
        venue.fail("POST order", "delay", delay_s=0.8)
        other = replace(BUY, order_id="grid-2", expires_ms=now_ms() + 700)
        assert await gateway.place(other) == [Accepted("grid-2")]
        return [order.client_id for order in venue.orders]

    assert run(scenario, settle_s=0.9) == ["grid-2"]


def test_nobody_is_told_that_an_order_is_unknown_while_it_may_be_on_its_way():
    async def scenario(gateway, venue):
        venue.fail("POST order", "delay", delay_s=0.7)
        venue.fail("GET order", "lose_request", times=20)
        with pytest.raises(OutcomeUnknown):
            await gateway.place(BUY, fresh=True)
        venue.faults.clear()
        return await gateway.order("grid-1")

    assert run(scenario, patience_s=0.3, settle_s=2.0) == OrderState("grid-1", Lifecycle.OPEN, 123, 0)


def test_who_follows_another_process_waits_for_what_that_one_may_have_sent():
    async def scenario(gateway, venue):
        trade(venue, lots=200)  # so that the venue would take the id a second time
        venue.fail("POST order", "delay", delay_s=0.3)
        with contextlib.suppress(Exception):  # the process before this one, and its last request
            await gateway._create(replace(BUY, post_only=False))
        assert await gateway.place(replace(BUY, post_only=False)) == [Accepted("grid-1")]
        return len(venue.orders), len(venue.seen("POST order"))

    assert run(scenario, settle_s=1.0, follows=True) == (1, 1)


def test_no_request_is_logged_even_when_everything_is(caplog):
    async def scenario(gateway, _venue):
        await gateway.place(BUY)

    with caplog.at_level(logging.DEBUG):
        run(scenario)
    assert "signature" not in caplog.text
    assert "APIKEY" not in caplog.text


def test_market_orders_take_what_is_there():
    async def scenario(gateway, venue):
        trade(venue, lots=50)
        assert await gateway.place(PlaceMarket("out", Side.BUY, 80)) == [Accepted("out"), Cancelled("out", 50)]

    run(scenario)


def test_the_same_id_again_is_the_same_order_even_after_its_end():
    async def scenario(gateway, venue):
        assert await gateway.place(BUY, fresh=True) == [Accepted("grid-1")]
        assert await gateway.place(BUY) == [Accepted("grid-1")]
        trade(venue, lots=123)
        assert await gateway.place(BUY) == [Accepted("grid-1")]  # this venue would take the id again now
        return len(venue.orders)

    assert run(scenario) == 1


def test_an_open_order_sent_as_if_new_is_recognised_by_the_venues_refusal():
    async def scenario(gateway, venue):
        await gateway.place(BUY, fresh=True)
        assert await gateway.place(BUY, fresh=True) == [Accepted("grid-1")]
        return len(venue.orders)

    assert run(scenario) == 1


def test_a_lost_reply_does_not_place_twice():
    async def scenario(gateway, venue):
        trade(venue, lots=200)  # our order is filled at once: the venue would accept its id a second time
        venue.fail("POST order", "lose_reply")
        assert await gateway.place(replace(BUY, post_only=False)) == [Accepted("grid-1")]
        return len(venue.orders), len(await gateway.fills(0))

    assert run(scenario) == (1, 1)


def test_a_request_that_is_still_on_its_way_is_waited_for():
    async def scenario(gateway, venue):
        trade(venue, lots=200)
        venue.fail("POST order", "delay", delay_s=0.4)
        assert await gateway.place(replace(BUY, post_only=False)) == [Accepted("grid-1")]
        await asyncio.sleep(0.5)
        return len(venue.orders), len(venue.seen("POST order"))

    assert run(scenario, settle_s=3) == (1, 1)


def test_a_lost_request_is_sent_again_when_it_cannot_arrive_any_more():
    async def scenario(gateway, venue):
        venue.fail("POST order", "lose_request")
        assert await gateway.place(BUY) == [Accepted("grid-1")]
        first, second = venue.seen("POST order")
        assert second - first >= 0.3  # settle_s
        return len(venue.orders)

    assert run(scenario) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, {}), (500, {}), (504, {"code": -1007, "msg": "Timeout waiting for response from backend server."})],
)
def test_a_reply_that_says_nothing_is_a_lost_one(status, body):
    async def scenario(gateway, venue):
        venue.fail("POST order", "status", status=status, body=body)
        assert await gateway.place(BUY) == [Accepted("grid-1")]
        return len(venue.seen("POST order"))

    assert run(scenario) == 2


def test_an_order_that_never_arrives_is_given_up():
    async def scenario(gateway, venue):
        venue.fail("POST order", "lose_request", times=3)
        with pytest.raises(GatewayError, match="sent 3 times"):
            await gateway.place(BUY)
        return venue.orders

    assert run(scenario, settle_s=0.05) == []


def test_when_the_venue_cannot_be_asked_the_outcome_is_unknown():
    async def scenario(gateway, venue):
        venue.fail("POST order", "lose_reply")
        venue.fail("GET order", "lose_request", times=20)
        with pytest.raises(OutcomeUnknown) as caught:
            await gateway.place(BUY, fresh=True)
        assert "signature=" not in str(
            caught.value
        )  # of the request whose reply was lost: its address is in ccxt's words
        assert "GET order" in str(caught.value) or "/order" in str(caught.value)
        return caught.value.order_id

    assert run(scenario, patience_s=0.5) == "grid-1"


@pytest.mark.parametrize("status", [429, 418])
def test_too_many_requests_are_sent_again_when_the_venue_says(status):
    async def scenario(gateway, venue):
        body = {"code": -1003, "msg": "Too much request weight used."}
        venue.fail("POST order", "status", status=status, body=body, headers={"Retry-After": "1"})
        placed = asyncio.create_task(gateway.place(BUY, fresh=True))
        await asyncio.wait_for(venue.refused.wait(), 5)
        await asyncio.sleep(0.1)  # until our side has read it
        await gateway.open_orders()  # the pause is for all requests
        assert await placed == [Accepted("grid-1")]
        first, second = venue.seen("POST order")
        assert second - first >= 0.99
        assert venue.seen("GET openOrders")[0] - first >= 0.99
        return len(venue.orders)

    assert run(scenario) == 1


def test_too_many_orders_are_sent_again_after_a_pause_of_our_own():
    async def scenario(gateway, venue):
        body = {"code": -1015, "msg": "Too many new orders; current limit is 50 orders per 10 SECOND."}
        venue.fail("POST order", "status", times=2, status=400, body=body)
        assert await gateway.place(BUY, fresh=True) == [Accepted("grid-1")]
        first, second, third = venue.seen("POST order")
        assert second - first >= 0.25
        assert third - second >= 0.5
        return len(venue.orders)

    assert run(scenario) == 1


def test_a_longer_pause_than_our_patience_places_nothing():
    async def scenario(gateway, venue):
        body = {"code": -1003, "msg": "Way too much request weight used."}
        venue.fail("POST order", "status", status=418, body=body, headers={"Retry-After": "3600"})
        with pytest.raises(GatewayError, match="asks to wait"):
            await gateway.place(BUY, fresh=True)
        return venue.orders, len(venue.seen("POST order"))

    assert run(scenario) == ([], 1)


def test_refusals_say_why():
    async def scenario(gateway, venue):
        assert await gateway.place(replace(BUY, lots=1)) == [Rejected("grid-1", "min_notional")]
        assert await gateway.place(replace(BUY, lots=9)) == [Rejected("grid-1", "lot")]
        assert await gateway.place(replace(BUY, lots=0)) == [Rejected("grid-1", "lot")]
        assert await gateway.place(replace(BUY, ticks=0)) == [Rejected("grid-1", "tick")]
        assert await gateway.place(replace(BUY, ticks=100_000_001)) == [Rejected("grid-1", "tick")]
        venue.min_notional = Decimal(100)  # raised since we loaded its markets
        assert await gateway.place(BUY) == [Rejected("grid-1", "min_notional")]
        venue.min_notional = Decimal(5)
        trade(venue)
        assert await gateway.place(BUY) == [Rejected("grid-1", "post_only")]
        venue.core.deposit(US, lots=0, quote=Decimal(1))
        assert await gateway.place(replace(BUY, ticks=7_700_000)) == [Rejected("grid-1", "balance")]
        assert venue.orders == []

    run(scenario)


def test_cancelling_what_is_not_open_says_what_it_is():
    async def scenario(gateway, venue):
        assert await gateway.cancel("grid-1") == [CancelRejected("grid-1", "unknown")]
        await gateway.place(BUY)
        trade(venue, lots=123)
        assert await gateway.cancel("grid-1") == [CancelRejected("grid-1", "filled")]

    run(scenario)


@pytest.mark.parametrize("fault", ["lose_reply", "lose_request"])
def test_a_lost_cancellation_still_cancels(fault):
    async def scenario(gateway, venue):
        await gateway.place(BUY)
        await gateway.place(replace(BUY, order_id="grid-2", ticks=7_700_000))
        venue.fail("DELETE order", fault)
        assert await gateway.cancel("grid-1") == [Cancelled("grid-1", 0)]
        venue.fail("DELETE openOrders", fault)
        assert await carry_out(gateway, CancelAll()) == [Cancelled("grid-2", 0)]
        assert await carry_out(gateway, CancelAll()) == []

    run(scenario)


def test_a_cancellation_nobody_answers_leaves_the_outcome_unknown():
    async def scenario(gateway, venue):
        await gateway.place(BUY)
        venue.fail("DELETE order", "lose_request", times=20)
        with pytest.raises(OutcomeUnknown, match="ask for the order"):
            await gateway.cancel("grid-1")
        venue.fail("DELETE openOrders", "lose_request", times=20)
        with pytest.raises(OutcomeUnknown):
            await gateway.cancel_all()

    run(scenario, patience_s=0.5)


def test_all_fills_come_page_by_page_and_after_a_restart(monkeypatch):
    monkeypatch.setattr("streams.gateways.ccxt_gateway._PAGE", 2)

    async def scenario(gateway, venue):
        await gateway.place(BUY)
        for n in range(7):
            trade(venue, lots=10, name=f"o{n}", time_ms=1_000 + n)
        gateway._names.clear()  # as in a new process: trades name the venue's order id only
        return [(fill.order_id, fill.lots, fill.time_ms) for fill in await gateway.fills(1_002)]

    assert run(scenario) == [("grid-1", 10, 1_000 + n) for n in range(2, 7)]


def test_more_trades_in_a_millisecond_than_a_page_are_refused_rather_than_missed(monkeypatch):
    monkeypatch.setattr("streams.gateways.ccxt_gateway._PAGE", 2)

    async def scenario(gateway, venue):
        await gateway.place(BUY)
        for n in range(3):
            trade(venue, lots=10, name=f"o{n}")
        with pytest.raises(GatewayError, match="millisecond 1000"):
            await gateway.fills(0)

    run(scenario)


def test_a_fee_in_base_is_told_in_quote_and_one_in_a_third_currency_refused():
    async def scenario(gateway, venue):
        await gateway.place(BUY)
        trade(venue, lots=100)
        venue.fee_currency = "BTC"
        (fill,) = await gateway.fills(0)
        assert fill.fee == Decimal("78000.01") * Decimal("0.001") * Decimal("0.001")
        venue.fee_currency = "BNB"
        with pytest.raises(GatewayError, match="have fees taken in USDT or BTC"):
            await gateway.fills(0)

    run(scenario)


def test_a_trade_without_a_fee_is_refused_rather_than_booked_as_free():
    async def scenario(gateway, _venue):
        with pytest.raises(GatewayError, match="does not say what trade 7 cost"):
            fee_in_quote(gateway._exchange, "BTC/USDT", {"id": "7", "fee": {"cost": None, "currency": None}})

    run(scenario)


def test_a_wrong_secret_is_our_mistake():
    async def scenario(gateway, _venue):
        with pytest.raises(GatewayError, match="Signature for this request is not valid"):
            await gateway.place(BUY, fresh=True)

    run(scenario, secret="wrong")


def test_unknown_venues_and_markets_are_refused():
    with pytest.raises(GatewayError, match="nowhere"):
        asyncio.run(CcxtGateway.connect("nowhere", "BTC/USDT", {}))

    async def scenario(gateway, _venue):
        with pytest.raises(GatewayError, match="ETH/USDT"):
            CcxtGateway(gateway._exchange, "ETH/USDT")

    run(scenario)
