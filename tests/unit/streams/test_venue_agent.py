"""The venue agent: what it does with commands, reports and trades; behind it the paper exchange instead of a network."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace

import pytest

from m1cep.grid import wire
from m1cep.grid.orders import (
    Accepted,
    AskFills,
    AskOpenOrders,
    AskOrder,
    Cancel,
    CancelAll,
    Lifecycle,
    Market,
    OrderState,
    Place,
    PlaceMarket,
    Side,
)
from m1cep.grid.paper import Exchange
from streams.agents import venue as agent
from streams.agents.outbox import Packet
from streams.agents.venue import VenuePartition
from streams.agents.venue_runner import Runner, build
from streams.errors import ShellError, UsageError
from streams.gateways import GatewayError, OutcomeUnknown, PaperGateway, Unreachable
from streams.grid.log import COMMANDS, GRID_LOG
from streams.transport import Batch

MARKET = Market("BTC-USD", Decimal(1), Decimal("0.1"), maker_fee=Decimal("0.001"))
PARTITIONS = 3
FILLS, DEAD, ALERTS = "fills", "m1cep.dead-letters.v1", "m1cep.alerts.v1"


@dataclass
class Line:
    offset: int
    value: bytes
    key: bytes = b"g"
    timestamp: int = 1_000_000
    timestamp_type: int = 0
    headers: tuple = ()


def partition(state=None, position=0):
    about = {"venue": "binance", "account": "desk-1", "fills": FILLS, "partitions": PARTITIONS}
    return VenuePartition(2, position, **about, state=state)


def body(command, grid="g", **more):
    record = {"grid": grid, "account": "desk-1", "venue": "binance", "symbol": "BTC-USD", "tick": "1", "lot": "0.1"}
    return record | {"command": wire.to_plain(command)} | more


def give(to, *bodies):
    """Commands (or whole records) into the partition, as one batch."""
    first = to.positions[COMMANDS]
    values = [b if isinstance(b, bytes) else json.dumps(b if isinstance(b, dict) else body(b)).encode() for b in bodies]
    lines = [Line(first + n, value) for n, value in enumerate(values)]
    return to.take(Batch(COMMANDS, 2, 1, first, first + len(lines), lines))


def place(name, ticks=100, side=Side.BUY, lots=10):
    return Place(name, side, ticks, lots)


def told(outcomes):
    """What was written: (topic, key, value) in order; a packet's records for each partition."""
    found = []
    for outcome in outcomes:
        for message in outcome.messages:
            if isinstance(message, Packet):
                found += [(message.topic, message.partition, json.loads(value)) for _, value, _ in message.records]
            else:
                found.append((message.topic, (message.key or b"").decode(), json.loads(message.value)))
    return found


def reports(outcomes, grid="g"):
    """What a grid was told."""
    return [wire.event(value) for topic, key, value in told(outcomes) if (topic, key) == (GRID_LOG, grid)]


class Venue(PaperGateway):
    """The paper exchange, with whatever goes wrong before a call."""

    def __init__(self, exchange):
        self.newest, self.faults, self.closed, self.gates = None, {}, False, {}
        self.time_ms = time.time_ns() // 1_000_000
        super().__init__(exchange, "us", lambda: self.time_ms)

    async def _fault(self, name):
        if error := self.faults.get(name):
            raise error

    async def place(self, order, *, fresh=False):
        await self._fault("place")
        if gate := self.gates.get(order.order_id):
            await gate.wait()
        return await super().place(order, fresh=fresh)

    async def cancel(self, order_id):
        await self._fault(f"cancel {order_id}")
        return await super().cancel(order_id)

    async def fills(self, since_ms):
        await self._fault("fills")
        return await super().fills(since_ms)

    async def price(self):
        await self._fault("price")
        return self.newest

    async def close(self):
        self.closed = True


def run(scenario, *, state=None, exchange=None):
    """Run a coroutine with a partition, a venue, and a function that lets the runner work until it is at rest."""

    async def inside():
        venue, ours = Venue(exchange or Exchange(MARKET)), partition(state)

        async def connect(symbol):
            if error := venue.faults.get("connect"):
                raise error
            assert symbol == "BTC-USD"
            return venue

        runner = Runner(ours, connect, poll_s=0.01)

        async def work(rounds=6):
            outcomes = []
            for _ in range(rounds):
                if outcome := runner.step():
                    outcomes.append(outcome)
                await asyncio.sleep(0.01)
            return outcomes

        try:
            return await scenario(ours, venue, work)
        finally:
            await runner.close()

    return asyncio.run(inside())


def trade(venue, side, ticks, lots):
    """Somebody else trades with our orders."""
    venue.time_ms += 1
    venue._exchange.execute("them", Place(f"x{venue.time_ms}", side, ticks, lots, post_only=False), venue.time_ms)


def test_commands_are_carried_out_and_their_grid_is_told():
    async def scenario(ours, _venue, work):
        give(ours, place("a"), place("b", 99), AskOpenOrders(7), body(place("c", 98), grid="other"))
        await work()
        give(ours, CancelAll(("a", "b", "nobody")), AskOrder("a", 8))
        return await work()

    outcomes = run(scenario)
    kinds = [
        (type(r).__name__, getattr(r, "order_id", "")) for r in reports(outcomes) if type(r).__name__ != "Reconnected"
    ]
    assert kinds == [
        ("Cancelled", "a"),
        ("Cancelled", "b"),
        ("CancelRejected", "nobody"),
        ("OrderState", "a"),
    ]
    assert reports(outcomes)[-1] == OrderState("a", Lifecycle.CANCELLED, 10, 0, 8)


def test_one_cancellation_that_nobody_answers_does_not_keep_back_the_others():
    async def scenario(ours, venue, work):
        give(ours, place("a"), place("b", 99), place("c", 98))
        await work()
        venue.faults["cancel b"] = OutcomeUnknown("b", "no reply")
        give(ours, CancelAll(("a", "b", "c")))
        return [(type(r).__name__, r.order_id) for r in reports(await work())]

    assert run(scenario) == [("Cancelled", "a"), ("Cancelled", "c")]


def test_an_order_waits_for_its_own_errands_only():
    async def scenario(ours, venue, work):
        venue.gates["slow"] = asyncio.Event()
        give(ours, place("slow"), Cancel("slow"), place("quick", 99), Cancel("quick"))
        before = reports(await work())
        venue.gates["slow"].set()
        return before, reports(await work())

    before, after = run(scenario)
    assert [r.order_id for r in before if hasattr(r, "order_id")] == ["quick", "quick"]
    assert [(type(r).__name__, r.order_id) for r in after] == [("Accepted", "slow"), ("Cancelled", "slow")]


def test_only_so_many_are_under_way_at_once():
    ours = partition()
    give(ours, *(place(f"o{n}") for n in range(5)))
    assert [e.command.order_id for e in ours.due([], 3)] == ["o0", "o1", "o2"]
    begun = ours.due([], 3)
    assert [e.command.order_id for e in ours.due([e.id for e in begun], 1)] == ["o3"]


def test_what_was_not_written_when_the_worker_died_is_done_again_and_is_the_same_order():
    exchange = Exchange(MARKET)

    async def dies(ours, _venue, work):
        give(ours, place("a"))
        state = ours.snapshot()  # the order is not even sent yet
        await work()
        return state, ours.positions[COMMANDS]

    state, position = run(dies, exchange=exchange)
    assert position == 1

    async def after(ours, _venue, work):
        outcomes = await work()
        return reports(outcomes), ours.snapshot()

    heard, done = run(after, state=state, exchange=exchange)
    assert Accepted("a") in heard
    assert [order.order_id for order in exchange.execute("us", AskOpenOrders(), 0)[0][1].orders] == ["a"]
    assert partition(done).due([], 9) == []


def test_a_trade_is_told_once_until_asked_for_and_published_once():
    async def scenario(ours, venue, work):
        give(ours, place("a"), body(place("b", 99), grid="other"))
        await work()
        trade(venue, Side.SELL, 100, 4)
        first = await work()
        state = ours.snapshot()
        give(ours, AskFills("a"))
        return first, await work(), state

    first, second, state = run(scenario)
    (fill,) = [r for r in reports(first) if type(r).__name__ == "Fill"]
    assert (fill.order_id, fill.lots, fill.fee) == ("a", 4, Decimal("0.04"))
    assert reports(second) == [fill]
    published = [(key, value) for topic, key, value in told(first + second) if topic == FILLS]
    assert published == [("desk-1", wire.fill_event("binance", "desk-1", MARKET, fill))]
    assert reports(first, "other") == []
    again = partition(state)  # in a new process the venue's list brings it once more
    outcome = agent.Outcome()
    again.traded([fill], MARKET, 0, outcome)
    assert told([outcome]) == []


def test_trades_of_orders_that_no_grid_has_given_change_nothing():
    async def scenario(ours, venue, work):
        give(ours, place("a"))
        await venue.place(place("by-hand", 101))
        await work()
        trade(venue, Side.SELL, 101, 10)
        return await work()

    assert [t for t in told(run(scenario)) if t[0] == FILLS or t[2].get("type") == "fill"] == []


def test_what_is_asked_of_the_venue_moves_on_with_time_and_keeps_an_overlap():
    ours = partition()
    give(ours, place("a"))
    book = ours.books["BTC-USD"]
    assert book.since_ms == 1_000_000 - 60_000  # of the first command
    ours.traded([], MARKET, 5_000_000, agent.Outcome())
    assert book.since_ms == 5_000_000 - 600_000
    ours.traded([], MARKET, 4_000_000, agent.Outcome())
    assert book.since_ms == 5_000_000 - 600_000


def test_a_grid_is_shown_its_own_open_orders_and_strangers_but_not_those_of_other_grids():
    async def scenario(ours, venue, work):
        give(ours, place("a"), body(place("b", 99), grid="other"))
        await venue.place(place("by-hand", 98))
        await work()
        give(ours, AskOpenOrders(1), body(AskOpenOrders(2), grid="other"))
        outcomes = await work()
        return [{o.order_id for o in reports(outcomes, grid)[-1].orders} for grid in ("g", "other")]

    assert run(scenario) == [{"a", "by-hand"}, {"b", "by-hand"}]


def test_whose_an_open_order_is_stays_known_however_many_came_after(monkeypatch):
    monkeypatch.setattr(agent, "REMEMBERED", 3)

    async def scenario(ours, venue, work):
        give(ours, place("old"))
        for n in range(4):
            give(ours, body(place(f"n{n}", 50), grid="other"), AskOpenOrders(n))
            await work()
            give(ours, body(Cancel(f"n{n}"), grid="other"))
            await work()
        trade(venue, Side.SELL, 100, 10)
        return [r.order_id for r in reports(await work()) if type(r).__name__ == "Fill"]

    assert run(scenario) == ["old"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (b"{", "unexpected end"),
        (b"[]", "expected a JSON object, got list"),
        (body(place("a"), grid=None), "expected a command with grid, symbol and command"),
        (body(place("a")) | {"command": {"type": "buy"}}, "expected a grid's command with a type of"),
        (
            body(place("a"), account="desk-2"),
            "is of account 'desk-1' (M1CEP_VENUE_ACCOUNT), and grid 'g' trades for 'desk-2'",
        ),
    ],
)
def test_what_cannot_be_carried_out_is_put_aside(record, said):
    ours = partition()
    outcome = give(ours, record)
    ((topic, _, letter),) = told([outcome])
    assert (topic, outcome.dead_letters) == (DEAD, 1)
    assert said in letter["reason"]
    assert ours.due([], 9) == []


def test_commands_for_other_venues_are_left_alone():
    ours = partition()
    assert told([give(ours, body(place("a"), venue="paper"))]) == []
    assert (ours.due([], 9), ours.books, ours.positions[COMMANDS]) == ([], {}, 1)


def test_orders_counted_in_other_steps_are_refused():
    async def scenario(ours, _venue, work):
        wrong = {"tick": "0.5"}
        give(
            ours,
            body(place("a"), **wrong),
            body(PlaceMarket("m", Side.BUY, 1), **wrong),
            body(AskOrder("a", 1), **wrong),
        )
        heard = reports(await work())
        assert [r.order_id for r in heard if type(r).__name__ == "Rejected"] == ["a", "m"]
        assert "expected orders in steps of 1, got '0.5'" in heard[0].reason
        return heard[-1]

    assert run(scenario) == OrderState("a", Lifecycle.UNKNOWN, question=1)


@pytest.mark.parametrize("error", [OutcomeUnknown("a", "no reply"), GatewayError("wrong key")])
def test_what_nobody_knows_is_left_to_the_grids_question(error):
    async def scenario(ours, venue, work):
        venue.faults["place"] = error
        give(ours, place("a"), AskOrder("a", 3))
        return reports(await work())

    heard = run(scenario)
    assert [r for r in heard if hasattr(r, "order_id")] == [OrderState("a", Lifecycle.UNKNOWN, question=3)]


def test_a_lost_venue_is_told_to_somebody_and_lets_nothing_pile_up_and_then_its_grids_ask():
    async def scenario(ours, venue, work):
        give(ours, place("a"), body(place("b", 99), grid="other"))
        await work()
        venue.faults = dict.fromkeys(("fills", "price"), Unreachable("no reply in 15 s"))
        lost = await work()
        venue.gates["c"] = asyncio.Event()  # whoever asks now waits for ever
        give(ours, place("c", 98))
        during = await work()
        assert ours.due([], 9) == []
        venue.faults = {}
        return lost, during, await work()

    lost, during, after = run(scenario)
    ((topic, _, alert),) = told(lost)
    assert (topic, alert["rule"], alert["severity"]) == (ALERTS, "venue-lost", "critical")
    assert "no reply in 15 s" in json.dumps(alert)
    assert told(during) == []
    assert [[type(r).__name__ for r in reports(after, grid)] for grid in ("g", "other")] == [["Reconnected"]] * 2


def test_a_venue_that_cannot_be_reached_at_first_is_tried_again():
    async def scenario(ours, venue, work):
        venue.faults["connect"] = Unreachable("no reply")
        give(ours, place("a"))
        before = await work()
        venue.faults.clear()
        await work()
        give(ours, AskOrder("a", 1))
        return told(before), reports(await work())

    before, after = run(scenario)
    assert [topic for topic, *_ in before] == [ALERTS]
    assert after == [OrderState("a", Lifecycle.UNKNOWN, question=1)]


def test_trades_that_cannot_be_understood_do_not_stop_orders():
    async def scenario(ours, venue, work):
        venue.faults["fills"] = GatewayError("the fee of trade 7 was taken in BNB")
        give(ours, place("a"))
        return [r for r in reports(await work()) if type(r).__name__ != "Reconnected"]

    assert run(scenario) == [Accepted("a")]


def test_the_price_is_told_to_every_partition_once():
    async def scenario(ours, venue, work):
        give(ours, place("a"))
        venue.newest = (1_500, 105)
        first = await work()
        venue.newest = (1_400, 90)  # out of order
        return first, await work()

    first, second = run(scenario)
    prices = [(number, value["ticks"], value["symbol"]) for _, number, value in told(first) if value["type"] == "price"]
    assert prices == [(number, 105, "BTC-USD") for number in range(PARTITIONS)]
    assert told(second) == []


def test_looking_again_and_again_is_not_worth_a_snapshot_but_what_is_done_is():
    async def scenario(ours, venue, work):
        give(ours, place("a"))
        await work()
        nothing = await work()
        venue.faults["place"] = OutcomeUnknown("b", "no reply")
        give(ours, place("b"))
        return nothing, await work()

    nothing, done = run(scenario)
    assert (nothing, len(done), told(done)) == ([], 1, [])


def test_the_gateway_is_closed_and_a_mistake_of_ours_ends_the_worker():
    kept = []

    async def scenario(ours, venue, work):
        kept.append(venue)
        venue.faults["place"] = ZeroDivisionError()
        give(ours, place("a"))
        with pytest.raises(ZeroDivisionError):
            await work()

    run(scenario)
    assert kept[0].closed


def test_an_agent_without_a_venue_or_without_ccxt_says_what_is_missing(monkeypatch):
    context = SimpleNamespace(options=SimpleNamespace(venue=None))
    with pytest.raises(UsageError, match="set M1CEP_VENUE and its key"):
        asyncio.run(build(context))
    context.options.venue = object()
    for name in ("ccxt_gateway", "ccxt_exchange", "ccxt_words", "courier"):
        monkeypatch.delitem(sys.modules, f"streams.gateways.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(
        UsageError, match=r"the extra ccxt is needed, ccxt is not installed; pip install 'm1cep\[ccxt\]'"
    ):
        asyncio.run(build(context))


def test_a_batch_that_leaves_a_hole_is_refused():
    ours = partition()
    with pytest.raises(ShellError, match="records are missing"):
        ours.take(Batch(COMMANDS, 2, 1, 5, 6, [Line(5, b"{}")]))
