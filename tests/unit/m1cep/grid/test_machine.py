"""The grid's state machine, step by step. Ticks of 0.01, lots of 0.0001; the grid of `small` has two levels a side, 1 % apart."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from m1cep.errors import GridError
from m1cep.grid.machine import Grid, GridSpec, Halt, Mode, Pause, Price, Reconnected, Resume, Rung, Start, Stop, Tick
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
    Rejected,
    Side,
)

D = Decimal
MARKET = Market("BTC-USD", D("0.01"), D("0.0001"), D(0), D("0.001"), D("0.002"))
RUNGS = (Rung(lots=100, ratio=D("0.01")),) * 2
SPEC = GridSpec(market=MARKET, centre_ticks=10_000, up=RUNGS, down=RUNGS, cash=D(1000), lots=1000)
OPEN, FILLED, CANCELLED, UNKNOWN = Lifecycle.OPEN, Lifecycle.FILLED, Lifecycle.CANCELLED, Lifecycle.UNKNOWN


class Desk:
    """A grid, and by hand what the venue says to it."""

    def __init__(self, spec=SPEC, **changes):
        self.grid = Grid("g", replace(spec, **changes))
        self.now, self.trades = 0, 0

    @property
    def state(self):
        return self.grid.state

    def hear(self, *events):
        return [command for event in events for command in self.grid.handle(event)]

    def later(self, ms=5_000):
        self.now += ms
        return self.hear(Tick(self.now))

    def start(self):
        """Started, and nothing is open at the venue: the first orders."""
        self.later(1)
        (ask,) = self.hear(Start("s"))
        return self.hear(OpenOrders((), ask.question))

    def live(self):
        """All accepted: orders by side and level, such as buy1."""
        self.accept(self.start())
        assert self.state.mode is Mode.LIVE
        return self.orders()

    def accept(self, said):
        return self.hear(*(Accepted(c.order_id) for c in said if isinstance(c, Place)))

    def orders(self):
        return {f"{o.side}{o.level}": o.id for o in self.state.orders.values()}

    def order(self, name):
        return self.state.orders[self.orders()[name]]

    def fill(self, order_id, lots, **changes):
        order = self.state.order(order_id)
        self.trades += 1
        fee = MARKET.notional(order.ticks, lots) * MARKET.maker_fee
        trade = Fill(order_id, f"t{self.trades}", order.side, order.ticks, lots, fee, True, self.trades)
        return replace(trade, **changes)

    def cancel_rest(self):
        """Every order that is still open is cancelled without more fills: what the grid says then."""
        return self.hear(*(Cancelled(o.id, o.filled) for o in self.grid.open_orders))


@pytest.fixture
def desk():
    return Desk()


def places(said):
    return [(c.side.value, c.ticks, c.lots) for c in said if isinstance(c, Place)]


# -- the way of a grid


def test_it_asks_what_is_open_then_places_buys_then_sells_then_checks(desk):
    desk.later(1)
    assert desk.hear(Start("s")) == [AskOpenOrders(1)]
    said = desk.hear(OpenOrders((), 1))
    assert places(said) == [("buy", 9900, 100), ("buy", 9801, 100), ("sell", 10100, 100), ("sell", 10201, 100)]
    assert desk.accept(said) == [AskOpenOrders(2)]
    assert desk.state.mode is Mode.LIVE


def test_a_full_level_cancels_all_and_builds_around_its_price_when_all_have_ended(desk):
    ids = desk.live()
    assert desk.hear(desk.fill(ids["buy1"], 100)) == [CancelAll((ids["sell1"], ids["buy2"], ids["sell2"]))]
    assert desk.hear(Cancelled(ids["buy2"], 0), Cancelled(ids["sell1"], 0)) == []
    said = desk.hear(Cancelled(ids["sell2"], 0))
    assert places(said) == [("buy", 9801, 100), ("buy", 9702, 100), ("sell", 9999, 100), ("sell", 10099, 100)]
    assert desk.state.cause == f"trade:{ids['buy1']}:t1"


def test_a_pair_earns_its_step_less_the_fees_and_the_money_adds_up(desk):
    ids = desk.live()
    desk.hear(desk.fill(ids["buy1"], 100))
    desk.accept(desk.cancel_rest())
    desk.hear(desk.fill(desk.orders()["sell1"], 100))
    summary = desk.grid.summary(9_950)
    fees = D("0.00099") + D("0.0009999")
    assert D(summary["grid_profit"]) == D("0.9999") - D("0.99") - fees
    assert summary["unexplained"] == "0"
    assert D(summary["cash"]) == 1000 - D("0.99") + D("0.9999") - fees
    assert D(summary["floating_pnl"]) == D("0.1") * (D("99.5") - 100)


def test_a_level_counts_as_full_from_recreate_lots_and_the_rest_is_carried():
    desk = Desk(recreate_lots=30)
    ids = desk.live()
    assert desk.hear(desk.fill(ids["buy1"], 29)) == []
    assert len(desk.hear(desk.fill(ids["buy1"], 2))[0].order_ids) == 4
    said = desk.cancel_rest()
    assert places(said)[2] == ("sell", 9999, 131), "what was bought in part is offered with the first sell"
    desk.accept(said)
    desk.hear(desk.fill(desk.orders()["sell1"], 131))
    assert places(desk.cancel_rest())[2] == ("sell", 10099, 100), "and only once"


def test_late_fills_count_before_the_next_generation_is_built(desk):
    ids = desk.live()
    desk.hear(desk.fill(ids["buy1"], 100), Cancelled(ids["sell1"], 0), Cancelled(ids["sell2"], 0))
    assert desk.hear(Cancelled(ids["buy2"], 40)) == [AskFills(ids["buy2"])]
    said = desk.hear(desk.fill(ids["buy2"], 40))
    assert desk.state.generation == 2
    assert places(said)[0][1] == 9702, "around the last trade, at 9801"
    assert places(said)[2] == ("sell", 9900, 140)


def test_an_order_that_fills_while_it_is_cancelled_is_asked_for(desk):
    ids = desk.live()
    desk.hear(desk.fill(ids["buy1"], 100), Cancelled(ids["sell1"], 0), Cancelled(ids["sell2"], 0))
    (ask,) = desk.hear(CancelRejected(ids["buy2"], "not found"))
    assert isinstance(ask, AskOrder)
    assert desk.hear(OrderState(ids["buy2"], UNKNOWN, question=ask.question)) == []
    assert desk.state.mode is Mode.CANCELLING, "a venue that forgot an open order does not say how it ended"
    desk.later()
    assert desk.hear(OrderState(ids["buy2"], FILLED, 100, 100, 9)) == [AskFills(ids["buy2"])]
    desk.hear(desk.fill(ids["buy2"], 100))
    assert desk.state.generation == 2


def test_a_fill_before_its_order_was_accepted_counts(desk):
    desk.start()
    ids = desk.orders()
    desk.hear(desk.fill(ids["sell1"], 100))
    assert desk.state.mode is Mode.CANCELLING
    assert desk.state.books.lots == 900


def test_equal_fills_count_once_and_unequal_ones_of_one_trade_are_put_aside(desk):
    ids = desk.live()
    trade = desk.fill(ids["buy1"], 40)
    desk.hear(trade, trade, replace(trade, time_ms=99))
    assert desk.state.books.lots == 1040
    desk.hear(replace(trade, lots=41))
    assert desk.state.books.lots == 1040
    assert desk.state.quarantined == 1


def test_the_same_events_give_the_same_ids_and_others_for_each_attempt(desk):
    first, second = desk.live(), Desk().live()
    assert first == second
    assert len(set(first.values())) == 4


# -- what does not arrive


def test_an_order_without_an_answer_is_asked_for_and_said_again_with_its_id(desk):
    said = desk.start()
    desk.accept(said[1:])
    (ask,) = desk.later()
    assert ask == AskOrder(said[0].order_id, ask.question)
    (again,) = desk.hear(OrderState(said[0].order_id, UNKNOWN, question=ask.question))
    assert replace(again, expires_ms=said[0].expires_ms) == said[0]
    assert again.expires_ms == desk.now + desk.grid.state.spec.place_ttl_ms


def test_an_order_on_its_way_while_all_is_cancelled_is_waited_for(desk):
    said = desk.start()
    lost, *known = said
    desk.accept(known)
    desk.hear(Pause("p"), *(Cancelled(place.order_id, 0) for place in known))
    (ask,) = desk.hear(CancelRejected(lost.order_id, "not found"))
    assert desk.hear(OrderState(lost.order_id, UNKNOWN, question=ask.question)) == []
    assert desk.state.mode is Mode.CANCELLING, "it may still arrive"
    (again,) = desk.later()
    assert desk.hear(OrderState(lost.order_id, UNKNOWN, question=ask.question)) == []
    assert desk.state.mode is Mode.CANCELLING, "an old answer"
    desk.hear(OrderState(lost.order_id, UNKNOWN, question=again.question))
    assert desk.state.mode is Mode.PAUSED, "asked after it expired: it never will"


def test_an_answer_from_before_an_order_was_said_again_does_not_end_it(desk):
    lost, *known = desk.start()
    desk.accept(known)
    (ask,) = desk.later()
    (again,) = desk.hear(OrderState(lost.order_id, UNKNOWN, question=ask.question))
    assert again.order_id == lost.order_id
    desk.hear(
        Pause("p"), *(Cancelled(place.order_id, 0) for place in known), CancelRejected(lost.order_id, "not found")
    )
    desk.hear(OrderState(lost.order_id, UNKNOWN, question=ask.question))
    assert desk.state.mode is Mode.CANCELLING


def test_an_order_that_arrived_after_all_was_cancelled_is_cancelled(desk):
    late, *known = desk.start()
    desk.accept(known)
    desk.hear(
        Pause("p"), *(Cancelled(place.order_id, 0) for place in known), CancelRejected(late.order_id, "not found")
    )
    assert desk.hear(OrderState(late.order_id, OPEN, late.lots, 0, 9)) == [Cancel(late.order_id)]
    desk.hear(Cancelled(late.order_id, 0))
    assert desk.state.mode is Mode.PAUSED


def test_a_lost_fill_is_found_when_the_open_orders_are_compared(desk):
    ids = desk.live()
    desk.hear(OpenOrders(tuple(OrderState(i, OPEN, 100) for i in ids.values()), 2))
    (ask,) = desk.later(30_000)
    gone = ids.pop("buy1")
    (doubt,) = desk.hear(OpenOrders(tuple(OrderState(i, OPEN, 100) for i in ids.values()), ask.question))
    assert doubt == AskOrder(gone, doubt.question)
    assert AskFills(gone) in desk.hear(OrderState(gone, FILLED, 100, 100, doubt.question))
    assert desk.hear(desk.fill(gone, 100))
    assert desk.state.mode is Mode.CANCELLING


def test_after_a_reconnection_nothing_is_assumed(desk):
    ids = desk.live()
    desk.hear(OpenOrders(tuple(OrderState(i, OPEN, 100) for i in ids.values()), 2))
    (ask,) = desk.hear(Reconnected("r"))
    assert isinstance(ask, AskOpenOrders)
    part = tuple(OrderState(i, OPEN, 100, 30 if i == ids["buy1"] else 0) for i in ids.values())
    assert desk.hear(OpenOrders(part, ask.question)) == [AskFills(ids["buy1"])]


def test_an_order_cancelled_by_others_is_given_again_for_what_is_left(desk):
    ids = desk.live()
    desk.hear(Cancelled(ids["buy1"], 30))
    assert places(desk.later(2_000)) == [], "its fills first"
    desk.hear(desk.fill(ids["buy1"], 30))
    assert places(desk.later(1_000)) == [("buy", 9900, 70)]
    assert desk.order("buy1").id != ids["buy1"]


def test_an_order_turned_away_for_now_is_given_again_so_often_and_others_are_given_up():
    desk = Desk(retries=2)
    said = desk.start()
    desk.accept(said[2:])
    desk.hear(Rejected(said[0].order_id, "post_only"), Rejected(said[1].order_id, "min_notional"))
    ids = [said[0].order_id]
    for _ in range(2):
        (again,) = [c for c in desk.later(1_000) if isinstance(c, Place)]
        ids.append(again.order_id)
        desk.hear(Rejected(again.order_id, "post_only"))
    assert places(desk.later(60_000)) == []
    assert len(set(ids)) == 3
    assert [slot.given_up for slot in desk.state.slots[:2]] == ["rejected: post_only", ""]
    assert {slot.given_up for slot in desk.state.slots} == {"rejected: post_only", "rejected: min_notional", ""}


# -- strangers


def test_an_open_order_that_is_not_ours_is_cancelled_before_anything_is_placed(desk):
    desk.later(1)
    desk.hear(Start("s"))
    assert desk.hear(OpenOrders((OrderState("old", OPEN, 5),), 1)) == [Cancel("old")]
    assert places(desk.hear(Cancelled("old", 0)))


def test_a_fill_of_an_unknown_order_is_parked_asked_for_and_put_aside(desk):
    desk.live()
    stray = Fill("nobody", "t", Side.BUY, 9900, 5, D(0), True, 1)
    (ask,) = desk.hear(stray)
    assert ask == AskOrder("nobody", ask.question)
    assert desk.state.quarantined == 0
    desk.hear(OrderState("nobody", UNKNOWN, question=ask.question))
    assert [(q.kind, q.report["order_id"]) for q in desk.state.quarantine] == [("Fill", "nobody")]
    assert desk.state.books.lots == 1000


def test_a_parked_fill_is_booked_when_its_order_turns_out_to_be_ours(desk):
    place = Desk().start()[0]
    desk.later(1)
    desk.hear(Fill(place.order_id, "t", Side.BUY, place.ticks, 5, D(0), True, 1))
    (ask,) = [c for c in desk.hear(Start("s")) if isinstance(c, AskOpenOrders)]
    desk.hear(OpenOrders((), ask.question - 1), OpenOrders((), ask.question))
    assert desk.state.books.lots == 1005
    assert not desk.state.strangers


@pytest.mark.parametrize(
    "wrong",
    [
        {"lots": 0},
        {"lots": -5},
        {"lots": 101},
        {"ticks": 9901},
        {"ticks": 0},
        {"side": Side.SELL},
        {"fee": D("nan")},
        {"fee": D("inf")},
        {"fee": D("1e-500")},
    ],
    ids=str,
)
def test_a_fill_that_cannot_be_is_put_aside_and_the_books_are_as_before(desk, wrong):
    ids = desk.live()
    before = desk.grid.snapshot()["state"]["books"]
    desk.hear(replace(desk.fill(ids["buy1"], 5), **wrong))
    assert desk.grid.snapshot()["state"]["books"] == before
    assert "expected" in desk.state.quarantine[0].reason
    assert desk.grid.summary()["quarantined"] == 1


def test_an_end_that_contradicts_the_fills_is_put_aside(desk):
    ids = desk.live()
    desk.hear(desk.fill(ids["buy1"], 50), Cancelled(ids["buy1"], 20), OrderState(ids["buy1"], OPEN, 99, 50))
    assert desk.state.quarantined == 2
    assert desk.order("buy1").phase == "open"


def test_an_order_that_has_ended_stays_ended(desk):
    ids = desk.live()
    desk.hear(Cancelled(ids["buy1"], 0), Accepted(ids["buy1"]), OrderState(ids["buy1"], OPEN, 100, 40))
    order = desk.state.orders[ids["buy1"]]
    assert (order.phase, order.told) == ("done", 0)
    desk.hear(desk.fill(ids["buy1"], 1))
    assert desk.state.books.lots == 1000
    assert desk.state.quarantined == 1


# -- pause, halt, stop


@pytest.mark.parametrize(
    ("request_", "mode", "reason"),
    [(Pause("p"), Mode.PAUSED, "pause:p"), (Halt("a7"), Mode.HALTED, "alert:a7"), (Stop("x"), Mode.STOPPED, "stop:x")],
)
def test_it_rests_when_all_orders_have_ended(desk, request_, mode, reason):
    ids = desk.live()
    assert desk.hear(request_) == [CancelAll(tuple(ids.values()))]
    assert desk.state.mode is Mode.CANCELLING
    assert places(desk.cancel_rest()) == []
    assert (desk.state.mode, desk.state.reason) == (mode, reason)


def test_an_alert_halts_once_and_says_so(desk):
    desk.live()
    desk.hear(Halt("a7"))
    desk.cancel_rest()
    assert desk.grid.summary()["alerts"] == ["a7"]
    (ask,) = desk.hear(Resume("r"))
    assert places(desk.hear(OpenOrders((), ask.question)))
    assert desk.hear(Halt("a7")) == []
    assert desk.state.mode is Mode.PLACING


def test_of_two_wishes_the_stronger_counts_and_a_stop_is_for_good(desk):
    desk.live()
    desk.hear(Stop("x"), Pause("p"), Halt("a7"))
    desk.cancel_rest()
    assert desk.hear(Resume("r"), Halt("a8"), Resume("r2"), Start("s2")) == []
    assert desk.state.mode is Mode.STOPPED


def test_a_resumed_grid_is_built_around_the_newest_price(desk):
    desk.live()
    desk.hear(Pause("p"))
    desk.cancel_rest()
    desk.hear(Price(1, 20_000))
    (ask,) = desk.hear(Resume("r"))
    assert places(desk.hear(OpenOrders((), ask.question)))[0][1] == 19_800


# -- prices


def test_it_waits_for_its_trigger_price():
    desk = Desk(trigger_ticks=10_500)
    desk.later(1)
    assert desk.hear(Start("s"), Price(1, 10_000), Price(2, 10_499)) == []
    assert desk.state.mode is Mode.WAITING
    (ask,) = desk.hear(Price(3, 10_600))
    assert places(desk.hear(OpenOrders((), ask.question)))[0][1] == 10_395


@pytest.mark.parametrize("ticks", [9_000, 12_000])
def test_stop_loss_and_take_profit_cancel_and_stop(ticks):
    desk = Desk(stop_loss_ticks=9_000, take_profit_ticks=12_000)
    desk.live()
    assert isinstance(desk.hear(Price(1, ticks))[0], CancelAll)
    assert desk.cancel_rest() == []
    assert desk.state.mode is Mode.STOPPED
    assert str(ticks) in desk.state.reason


def test_with_close_ticks_it_sells_what_it_holds_and_asks_less_when_the_price_falls():
    desk = Desk(stop_loss_ticks=9_000, close_ticks=50)
    desk.live()
    desk.hear(Price(1, 9_000))
    (close,) = desk.cancel_rest()
    assert (close.side, close.ticks, close.lots, close.post_only) == (Side.SELL, 8_950, 1000, False)
    desk.hear(Accepted(close.order_id), desk.fill(close.order_id, 400, ticks=8_990))
    assert desk.hear(Price(2, 8_949)) == [Cancel(close.order_id)]
    (rest,) = desk.hear(Cancelled(close.order_id, 400))
    assert (rest.ticks, rest.lots) == (8_899, 600)
    assert desk.hear(desk.fill(rest.order_id, 600)) == []
    assert desk.state.mode is Mode.STOPPED
    assert desk.state.books.lots == 0
    assert desk.grid.summary()["unexplained"] == "0"


def test_closing_is_not_interrupted_by_a_pause_or_an_alert_but_by_a_stop():
    desk = Desk(stop_loss_ticks=9_000, close_ticks=50)
    desk.live()
    desk.hear(Price(1, 9_000))
    (close,) = desk.cancel_rest()
    desk.hear(Accepted(close.order_id))
    assert desk.hear(Pause("p"), Halt("a7")) == []
    assert desk.state.mode is Mode.CLOSING
    assert desk.hear(Stop("x")) == [Cancel(close.order_id)]
    desk.cancel_rest()
    assert desk.state.mode is Mode.STOPPED


def test_it_trails_a_price_that_runs_away():
    desk = Desk(trail_up_ticks=300, trail_down_ticks=500)
    desk.live()
    assert desk.hear(Price(5, 10_299), Price(4, 10_400), Price(6, 9_501)) == []
    assert isinstance(desk.hear(Price(7, 10_300))[0], CancelAll)
    assert places(desk.cancel_rest())[0][1] == 10_197


# -- limits


def test_commands_of_a_second_are_bounded_and_the_others_follow():
    desk = Desk(rate_per_s=2)
    desk.later(1)
    (ask,) = desk.hear(Start("s"))
    assert len(desk.hear(OpenOrders((), ask.question))) == 1
    assert desk.later(999) == []
    assert len(desk.later(1)) == 2
    assert len(desk.later(1000)) == 1


def test_exposure_counts_pending_buys_and_money_is_not_spent_twice():
    assert places(Desk(max_lots=1_150).start())[:2] == [("buy", 9900, 100), ("buy", 9801, 50)]
    assert places(Desk(cash=D("1.5"), lots=120).start()) == [
        ("buy", 9900, 100),
        ("buy", 9801, 51),
        ("sell", 10100, 100),
        ("sell", 10201, 20),
    ]


def test_steps_are_never_below_the_fees_and_orders_never_below_the_smallest():
    rungs = (Rung(lots=100, ticks=1), Rung(lots=90, ticks=1))
    spec = replace(SPEC, market=replace(MARKET, min_notional=D("0.95")), up=rungs, down=rungs)
    assert places(Desk(spec).start()) == [("buy", 9980, 100), ("sell", 10021, 100)]


def test_quote_and_compounding_sizes():
    rungs = (Rung(quote=D("2.5"), ratio=D("0.01")),)
    desk = Desk(up=rungs, down=rungs, compound=True)
    desk.live()
    assert [order.lots for order in desk.state.orders.values()] == [252, 247]
    desk.hear(Pause("p"))
    desk.cancel_rest()
    desk.hear(Price(1, 1_010_000))
    (ask,) = desk.hear(Resume("r"))
    assert places(desk.hear(OpenOrders((), ask.question))) == [("buy", 999_900, 4), ("sell", 1_020_100, 4)]


def test_a_grid_that_can_afford_nothing_says_so():
    desk = Desk(cash=D(0), lots=0)
    assert desk.start() == [AskOpenOrders(2)]
    assert "no level" in desk.grid.summary()["reason"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"centre_ticks": 0}, "centre_ticks"),
        ({"rate_per_s": 0}, "rate_per_s"),
        ({"cash": D(-1)}, "cash"),
        ({"up": (), "down": ()}, "at least one level"),
        ({"up": (Rung(),)}, r"up\[1\]: expected lots or quote"),
        ({"down": (Rung(lots=1, ratio=D(1)),)}, r"down\[1\]: expected a ratio"),
        ({"place_ttl_ms": 5_000}, "place_ttl_ms below ask_after_ms"),
        ({"stop_loss_ticks": 10, "take_profit_ticks": 9}, "stop_loss_ticks below"),
        ({"market": replace(MARKET, tick=D(0))}, "tick above 0"),
    ],
)
def test_a_spec_that_can_never_run_is_refused(wrong, says):
    with pytest.raises(GridError, match=says):
        replace(SPEC, **wrong)


# -- snapshots


def test_a_snapshot_is_plain_and_complete(desk):
    ids = desk.live()
    desk.hear(desk.fill(ids["buy1"], 30), Fill("nobody", "t", Side.BUY, 1, 1, D("0.1"), True, 1))
    kept = json.loads(json.dumps(desk.grid.snapshot()))
    again = Grid.restore(kept)
    assert again.snapshot() == desk.grid.snapshot()
    assert again.handle(desk.fill(ids["buy1"], 70)) == desk.hear(desk.fill(ids["buy1"], 70, trade_id="t2"))


@pytest.mark.parametrize("wrong", [{}, {"version": 99}, {"version": 1}, {"version": 1, "state": {"name": 7}}])
def test_what_is_no_snapshot_is_refused(wrong):
    with pytest.raises(GridError, match="expected a grid's snapshot"):
        Grid.restore(wrong)
