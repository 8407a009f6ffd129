"""The paper exchange against the slow and obvious one, on random operations; and through a snapshot anywhere in between."""

import os
from decimal import Decimal

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.exchange import NaiveExchange

from m1cep.grid.orders import AskOpenOrders, AskOrder, Cancel, CancelAll, Market, Place, PlaceMarket, Side
from m1cep.grid.paper import Exchange, SelfTrade

CASES = int(os.environ.get("M1CEP_CASES", "100"))
OWNERS = ("ann", "bob", "cid")  # ann and bob have a balance, cid has none
TICK, LOT = Decimal("0.5"), Decimal("0.00000001")
MARKETS = st.builds(
    Market,
    symbol=st.just("BTC-USD"),
    tick=st.just(TICK),
    lot=st.just(LOT),
    min_notional=st.sampled_from([Decimal(0), 19 * TICK * LOT]),
    maker_fee=st.sampled_from([Decimal(0), Decimal("-0.0001"), Decimal("0.0012345")]),
    taker_fee=st.sampled_from([Decimal(0), Decimal("0.003"), Decimal("0.1")]),
)
# Few prices, sizes and owners, so that orders meet, ids come again, and clients run out of money.
owners = st.sampled_from(OWNERS)
sides = st.sampled_from(Side)
ids = st.integers(0, 40).map(str)
venue_ids = st.integers(0, 5).map(str)
ticks = st.sampled_from([9, 10, 10, 10, 11, 11, 11, 12, 9, 12, 8, 13, 0, -1])
lots = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 0])
commands = st.one_of(
    st.builds(Place, order_id=ids, side=sides, ticks=ticks, lots=lots, post_only=st.booleans()),
    st.builds(Place, order_id=ids, side=sides, ticks=ticks, lots=lots, post_only=st.just(False)),
    st.builds(PlaceMarket, order_id=ids, side=sides, lots=lots),
    st.builds(Cancel, order_id=ids),
    st.just(CancelAll()),
    st.just(AskOpenOrders()),
    st.builds(AskOrder, order_id=ids),
)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("execute"), owners, commands),
        st.tuples(st.just("execute"), owners, commands),
        st.tuples(st.just("place"), venue_ids, sides, st.sampled_from([None, 9, 10, 11, 12]), lots, st.booleans()),
        st.tuples(st.just("reduce"), venue_ids, st.sampled_from([2, 0, 1, 5])),
        st.tuples(st.just("cancel"), venue_ids),
    ),
    min_size=25,
    max_size=60,
)


def apply(exchange, operation, time_ms):
    match operation:
        case ("execute", owner, command):
            return exchange.execute(owner, command, time_ms)
        case ("place", order_id, side, ticks, lots, post_only):
            return exchange.external_place(order_id, side, ticks, lots, time_ms, post_only=post_only)
        case ("reduce", order_id, left):
            return exchange.external_reduce(order_id, left)
        case ("cancel", order_id):
            return exchange.external_cancel(order_id)
    raise AssertionError(operation)


def make(market, self_trade):
    exchange = Exchange(market, self_trade=self_trade)
    naive = NaiveExchange(market, self_trade.value)
    cell = market.tick * market.lot
    for owner, deposit in (("ann", (9, 110 * cell)), ("bob", (5, 90 * cell))):
        exchange.deposit(owner, lots=deposit[0], quote=deposit[1])
        naive.base[owner], naive.cash[owner] = deposit
    return exchange, naive


def depth(naive, side):
    levels = {}
    for order in naive.resting():
        if order.side is side:
            levels[order.ticks] = levels.get(order.ticks, 0) + order.left
    return sorted(levels.items(), reverse=side is Side.BUY)


@settings(max_examples=CASES)
@given(MARKETS, st.sampled_from(SelfTrade), operations)
def test_does_what_the_slow_one_does(market, self_trade, operations):
    exchange, naive = make(market, self_trade)
    for time_ms, operation in enumerate(operations):
        assert apply(exchange, operation, time_ms) == apply(naive, operation, time_ms), operation
        for side in Side:
            assert list(exchange.levels(side)) == depth(naive, side)
        for owner in ("ann", "bob"):
            assert exchange.balance(owner) == (naive.base[owner], naive.cash[owner])
            lots, quote = naive.free(owner)
            assert lots >= 0
            assert quote >= 0
    assert exchange.balance("cid") is None


@settings(max_examples=CASES)
@given(MARKETS, st.sampled_from(SelfTrade), operations, st.integers(0, 60))
def test_a_snapshot_anywhere_changes_nothing(market, self_trade, operations, cut):
    exchange, _ = make(market, self_trade)
    told = [apply(exchange, operation, time_ms) for time_ms, operation in enumerate(operations)]
    first, _ = make(market, self_trade)
    again = [apply(first, operation, time_ms) for time_ms, operation in enumerate(operations[:cut])]
    second = Exchange(market, self_trade=self_trade)
    second.load(through_json(first.state()))
    again += [apply(second, operation, time_ms) for time_ms, operation in enumerate(operations[cut:], cut)]
    assert again == told
    assert second.state() == exchange.state()


def through_json(state):
    """Plain values as a store gives them back: tuples as lists. Decimals stay what they are."""

    def plain(value):
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        if isinstance(value, dict):
            return {orjson.loads(orjson.dumps(key)): plain(one) for key, one in value.items()}
        assert value is None or type(value) in (bool, int, str, Decimal), f"not a plain value: {value!r}"
        return value

    return plain(state)
