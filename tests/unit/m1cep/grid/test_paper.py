"""What a client of the paper exchange sees. The matching itself is in tests/property/test_paper_exchange.py."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest

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
    Market,
    OpenOrders,
    OrderState,
    Place,
    PlaceMarket,
    Rejected,
    Side,
)
from m1cep.grid.paper import Exchange, SelfTrade, Trade
from m1cep.grid.paper.flow import RealFlow

MARKET = Market("BTC-USD", Decimal("0.5"), Decimal("0.001"), Decimal(0), Decimal("-0.0002"), Decimal("0.0025"))
BUY, SELL = Side.BUY, Side.SELL


def place(exchange, owner, order_id, side, ticks, lots, *, post_only=False, time_ms=7):
    return exchange.execute(owner, Place(order_id, side, ticks, lots, post_only), time_ms)


def test_price_comes_before_time_and_time_before_size():
    exchange = Exchange(MARKET, tape=True)
    place(exchange, "late", "dear", SELL, 202, 9)
    place(exchange, "ann", "first", SELL, 201, 3)
    place(exchange, "bob", "second", SELL, 201, 8)
    place(exchange, "cid", "cheap", SELL, 200, 2)
    place(exchange, "me", "a", BUY, 202, 10)
    assert [(t.maker, t.ticks, t.lots) for t in exchange.take_trades()] == [
        (("cid", "cheap"), 200, 2),
        (("ann", "first"), 201, 3),
        (("bob", "second"), 201, 5),
    ]
    assert exchange.take_trades() == []
    assert list(exchange.levels(SELL)) == [(201, 3), (202, 9)]
    assert exchange.best(BUY) is None


def test_both_sides_are_told_with_exact_fees_and_the_same_trade_id():
    exchange = Exchange(MARKET)
    place(exchange, "ann", "a", SELL, 201, 3)
    assert place(exchange, "bob", "b", BUY, 205, 5) == [
        ("bob", Accepted("b")),
        ("ann", Fill("a", "P1", SELL, 201, 3, Decimal("-0.0000603"), maker=True, time_ms=7)),  # 0.3015 * -0.0002
        ("bob", Fill("b", "P1", BUY, 201, 3, Decimal("0.00075375"), maker=False, time_ms=7)),
    ]
    assert exchange.execute("bob", AskOpenOrders(), 8) == [
        ("bob", OpenOrders((OrderState("b", Lifecycle.OPEN, 5, 3),)))
    ]


def test_fees_are_not_rounded_however_many_digits_they_have():
    fee = Decimal("0.00012345678901234567890123456789")
    exchange = Exchange(Market("X-Y", Decimal("1E-9"), Decimal("1E-9"), maker_fee=fee, taker_fee=fee))
    place(exchange, "ann", "a", SELL, 10**12 + 1, 10**12 + 1)
    (_, (_, fill), _) = place(exchange, "bob", "b", BUY, 10**12 + 1, 10**12 + 1)
    assert Fraction(fill.fee) == Fraction(fee) * (10**12 + 1) ** 2 / 10**18


def test_the_same_id_again_tells_the_same_again():
    exchange = Exchange(MARKET)
    place(exchange, "ann", "s", SELL, 200, 3)
    first = place(exchange, "bob", "b", BUY, 200, 5)
    mine = [told for told in first if told[0] == "bob"]
    assert place(exchange, "bob", "b", BUY, 200, 5) == mine
    exchange.execute("bob", Cancel("b"), 9)
    assert place(exchange, "bob", "b", BUY, 777, 1) == [*mine, ("bob", Cancelled("b", 3))]
    assert list(exchange.levels(BUY)) == []
    assert place(exchange, "cid", "b", BUY, 150, 50) == [("cid", Accepted("b"))]  # another client's id is another order


def test_ended_orders_are_forgotten_only_when_there_are_too_many():
    exchange = Exchange(MARKET, remember=2)
    for order_id in ("a", "b", "c"):
        place(exchange, "me", order_id, BUY, 200, 10)
        exchange.execute("me", Cancel(order_id), 8)
    states = [exchange.execute("me", AskOrder(i), 9)[0][1].lifecycle for i in ("a", "b", "c")]
    assert states == [Lifecycle.UNKNOWN, Lifecycle.CANCELLED, Lifecycle.CANCELLED]
    with pytest.raises(ValueError, match="at least one"):
        Exchange(MARKET, remember=0)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (Place("x", BUY, 0, 10), "tick"),
        (Place("x", BUY, -5, 10), "tick"),
        (Place("x", BUY, 200, 0), "lot"),
        (Place("x", BUY, 200, 9), "min_notional"),  # 0.9 of at least 1
        (Place("x", BUY, 300, 10), "post_only"),
        (PlaceMarket("x", BUY, 0), "lot"),
    ],
)
def test_refusals_leave_nothing_behind(order, reason):
    exchange = Exchange(replace(MARKET, min_notional=Decimal(1)))
    place(exchange, "ann", "s", SELL, 300, 10)
    place(exchange, "ann", "b", BUY, 100, 20)
    assert exchange.execute("me", order, 1) == [("me", Rejected("x", reason))]
    assert exchange.execute("me", order, 2) == [("me", Rejected("x", reason))]
    assert exchange.execute("me", AskOrder("x"), 3)[0][1].lifecycle is Lifecycle.REJECTED
    assert list(exchange.levels(BUY)) == [(100, 20)]
    assert list(exchange.levels(SELL)) == [(300, 10)]


def test_a_market_order_takes_what_is_there_and_does_not_rest():
    exchange = Exchange(MARKET)
    assert exchange.execute("me", PlaceMarket("x", BUY, 5), 1) == [("me", Accepted("x")), ("me", Cancelled("x", 0))]
    place(exchange, "ann", "s", SELL, 300, 10)
    told = exchange.execute("me", PlaceMarket("y", BUY, 15), 1)
    assert told[-1] == ("me", Cancelled("y", 10))
    assert list(exchange.levels(BUY)) == list(exchange.levels(SELL)) == []


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (SelfTrade.CANCEL_NEWEST, [Rejected("new", "self_trade")]),
        (SelfTrade.CANCEL_OLDEST, [Accepted("new"), Cancelled("old", 0)]),
        (SelfTrade.CANCEL_BOTH, [Accepted("new"), Cancelled("old", 0), Cancelled("new", 0)]),
    ],
)
def test_nobody_trades_with_itself(policy, told):
    exchange = Exchange(MARKET, self_trade=policy)
    place(exchange, "me", "old", SELL, 200, 10)
    assert place(exchange, "me", "new", BUY, 200, 20) == [("me", report) for report in told]


def test_a_self_trade_behind_other_trades_cancels_the_rest():
    exchange = Exchange(MARKET)
    place(exchange, "ann", "s", SELL, 199, 10)
    place(exchange, "me", "old", SELL, 200, 10)
    told = [report for owner, report in place(exchange, "me", "new", BUY, 200, 20) if owner == "me"]
    assert told[-1] == Cancelled("new", 10)
    assert list(exchange.levels(SELL)) == [(200, 10)]


def test_cancelling_twice_or_the_unknown_is_rejected_with_what_it_is():
    exchange = Exchange(MARKET)
    place(exchange, "me", "a", BUY, 200, 10)
    place(exchange, "me", "b", BUY, 201, 10)
    assert exchange.execute("you", Cancel("a"), 1) == [("you", CancelRejected("a", "unknown"))]
    assert exchange.execute("me", CancelAll(), 1) == [("me", Cancelled("a", 0)), ("me", Cancelled("b", 0))]
    assert exchange.execute("me", CancelAll(), 1) == []
    assert exchange.execute("me", Cancel("a"), 1) == [("me", CancelRejected("a", "cancelled"))]


def test_a_balance_is_held_by_open_orders_and_free_again_after_them():
    exchange = Exchange(MARKET)
    exchange.deposit("me", lots=10, quote=Decimal("1.0025"))  # exactly one order of 1 with the taker's fee
    assert place(exchange, "me", "a", BUY, 200, 10) == [("me", Accepted("a"))]
    assert place(exchange, "me", "b", BUY, 200, 10) == [("me", Rejected("b", "balance"))]
    assert place(exchange, "me", "c", SELL, 300, 11) == [("me", Rejected("c", "balance"))]
    exchange.execute("me", Cancel("a"), 1)
    assert place(exchange, "me", "d", BUY, 200, 10) == [("me", Accepted("d"))]
    place(exchange, "ann", "s", SELL, 200, 10)
    assert exchange.balance("me") == (20, Decimal("0.0027"))  # 1.0025 - 1 + the maker's 0.0002
    assert exchange.execute("me", PlaceMarket("e", SELL, 21), 1) == [("me", Rejected("e", "balance"))]
    with pytest.raises(ValueError, match="steps of"):
        exchange.deposit("me", quote=Decimal("1E-40"))
    place(exchange, "late", "x", BUY, 100, 20)
    with pytest.raises(ValueError, match="before its orders"):
        exchange.deposit("late", quote=Decimal(1))


def test_a_market_order_must_cover_the_takers_fee():
    exchange = Exchange(MARKET)
    place(exchange, "ann", "s", SELL, 200, 30)
    exchange.deposit("me", quote=Decimal("2.004999"))  # two orders of 1 would be 2.005
    assert exchange.execute("me", PlaceMarket("a", BUY, 20), 1) == [("me", Rejected("a", "balance"))]
    exchange.deposit("me", quote=Decimal("0.000001"))
    assert exchange.execute("me", PlaceMarket("b", BUY, 20), 1)[0] == ("me", Accepted("b"))
    assert exchange.balance("me") == (20, Decimal(0))


def test_fills_survive_a_snapshot_in_bytes():
    first = Exchange(MARKET)
    place(first, "a", "1", SELL, 100, 5)
    place(first, "b", "2", BUY, 100, 5)
    second = Exchange(MARKET)
    second.load(msgspec.msgpack.decode(msgspec.msgpack.encode(first.state())))
    assert second.fills("a", 0) == first.fills("a", 0)
    assert type(second.fills("a", 0)[0].fee) is Decimal


def test_what_is_held_survives_a_snapshot():
    first = Exchange(MARKET)
    first.deposit("me", lots=10, quote=Decimal("1.0025"))
    place(first, "me", "a", BUY, 200, 10)
    place(first, "me", "b", SELL, 300, 10)
    second = Exchange(MARKET)
    second.load(first.state())
    assert place(second, "me", "c", BUY, 200, 1) == [("me", Rejected("c", "balance"))]
    assert place(second, "me", "d", SELL, 300, 1) == [("me", Rejected("d", "balance"))]


def test_fills_can_be_asked_for_by_time():
    exchange = Exchange(MARKET)
    place(exchange, "ann", "s", SELL, 200, 10)
    for n in (10, 11):
        place(exchange, "me", f"b{n}", BUY, 200, 3, time_ms=n)
    assert [fill.order_id for fill in exchange.fills("me", 10)] == ["b10", "b11"]
    assert [fill.order_id for fill in exchange.fills("me", 11)] == ["b11"]
    assert exchange.fills("me", 12) == exchange.fills("nobody", 0) == []


def test_orders_of_the_real_flow_trade_with_ours_and_shrink_as_the_venue_says():
    exchange = Exchange(MARKET, tape=True)
    exchange.external_place("v1", SELL, 200, 10, 1)
    exchange.external_place("v1", SELL, 100, 10, 1)  # told twice
    place(exchange, "me", "a", BUY, 199, 10)
    (fill,) = [report for _, report in exchange.external_place("v2", SELL, 199, 4, 2)]
    assert (fill.order_id, fill.lots, fill.maker) == ("a", 4, True)
    exchange.external_reduce("v1", 12)  # never grows
    exchange.external_reduce("v1", 7)
    assert list(exchange.levels(SELL)) == [(200, 7)]
    exchange.external_reduce("v1", 0)
    exchange.external_cancel("v1")
    assert list(exchange.levels(SELL)) == []
    assert exchange.external_place("v3", SELL, 199, 4, 3, post_only=True) == []
    (fill,) = [report for _, report in exchange.external_trade(SELL, 199, 2, 4)]
    assert (fill.order_id, fill.lots) == ("a", 2)
    assert exchange.external_trade(SELL, 200, 2, 5) == []
    assert exchange.take_trades()[0] == Trade("P1", SELL, 199, 4, ("me", "a"), (None, "v2"), 2)


def event(action, order_id, side, price, qty, ts):
    return {"action": action, "order_id": order_id, "side": side, "price": price, "qty": qty, "ts": ts}


def flow_of(*events):
    exchange = Exchange(MARKET, tape=True)
    flow = RealFlow(exchange)
    told = [report for e in events for report in flow.take(e)] + flow.finish()
    return exchange, told


def test_an_order_created_and_deleted_whole_in_a_millisecond_was_post_only():
    exchange, _ = flow_of(
        event("created", "m", "ask", 100.0, 0.01, 1),
        event("created", "p", "bid", 100.0, 0.005, 2),  # would trade: the venue refused it
        event("deleted", "p", "bid", 100.0, 0.005, 2),
        event("created", "t", "bid", 100.0, 0.005, 3),
        event("deleted", "t", "bid", 100.0, 0.0, 3),
    )
    assert [(t.taker[1], t.lots) for t in exchange.take_trades()] == [("t", 5)]


def test_market_orders_of_the_flow_have_no_price():
    exchange, _ = flow_of(
        event("created", "a", "ask", 100.0, 0.01, 1),
        event("created", "b", "bid", 99.0, 0.01, 1),
        event("created", "x", "bid", 999999999.0, 0.004, 2),
        event("created", "y", "ask", 0.0, 0.02, 2),
    )
    assert [(t.maker[1], t.lots) for t in exchange.take_trades()] == [("a", 4), ("b", 10)]
    assert list(exchange.levels(BUY)) == []


def test_a_maker_that_was_hit_at_the_venue_does_not_stay_behind_ours():
    exchange = Exchange(MARKET)
    flow = RealFlow(exchange)
    flow.take(event("created", "m", "ask", 100.0, 0.01, 1))
    flow.finish()
    place(exchange, "me", "mine", SELL, 199, 10)  # 99.5: before theirs
    told = []
    for e in (
        event("created", "t", "bid", 100.0, 0.01, 2),
        event("deleted", "m", "ask", 100.0, 0.0, 2),
        event("trade", "", "bid", 100.0, 0.01, 2),
        event("deleted", "t", "bid", 100.0, 0.0, 2),
    ):
        told += flow.take(e)
    assert told == []  # the millisecond may go on
    again = RealFlow(exchange)
    again.load(flow.state())
    assert [(report.order_id, report.lots) for _, report in again.finish()] == [("mine", 10)]
    assert list(exchange.levels(SELL)) == list(exchange.levels(BUY)) == []


def test_a_price_that_is_not_on_the_tick_is_refused():
    with pytest.raises(ValueError, match=r"multiple of 0\.5, got 100\.3"):
        flow_of(event("created", "m", "ask", 100.3, 0.01, 1))


def test_questions_have_numbers_fills_are_told_again_and_orders_are_cancelled_by_name():
    exchange = Exchange(MARKET)
    place(exchange, "ann", "a", SELL, 201, 3)
    place(exchange, "ann", "b", SELL, 202, 3)
    [_, _, fill] = place(exchange, "bob", "x", BUY, 201, 2)
    assert exchange.execute("bob", AskFills("x"), 8) == [fill]
    assert exchange.execute("bob", AskFills("y"), 8) == []
    assert exchange.execute("bob", AskOrder("x", 41), 8) == [("bob", OrderState("x", Lifecycle.FILLED, 2, 2, 41))]
    assert exchange.execute("ann", CancelAll(("b", "c")), 9) == [
        ("ann", Cancelled("b", 0)),
        ("ann", CancelRejected("c", "unknown")),
    ]
    assert exchange.execute("ann", AskOpenOrders(42), 9) == [
        ("ann", OpenOrders((OrderState("a", Lifecycle.OPEN, 3, 2),), 42))
    ]
