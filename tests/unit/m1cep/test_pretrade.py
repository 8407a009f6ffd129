"""The pre-trade check: each limit, what stands against an account, and what is let go of in time."""

from decimal import Decimal

import pytest
from pretradeworld import buy, raw, sell, world

from m1cep import FixedLookups
from m1cep.errors import PretradeError
from m1cep.pretrade import Code, Hearing, new_order, snapshot
from m1cep.pretrade import book as book_module
from m1cep.pretrade.amounts import MOST, decimal, of_decimal, text, units
from m1cep.pretrade.book import BEYOND, MOST_ALERTS
from m1cep.runtime.lookups import Parameter


def codes(reasons):
    return [reason.code for reason in reasons]


def trade(price, symbol="BTC-USD"):
    return raw(symbol=symbol, action="trade", price=Decimal(str(price)))


def event(action, order_id, qty, side="buy", account="ann", symbol="BTC-USD", **more):
    fields = {"account": account, "order_id": order_id, "symbol": symbol, "side": side, "qty": Decimal(str(qty))}
    return raw(**fields, action=action, **more)


def fill(order_id, qty, side="buy", account="ann", symbol="BTC-USD", trade_id="t", price=100):
    fields = {"account": account, "order_id": order_id, "symbol": symbol, "side": side, "qty": Decimal(str(qty))}
    return raw(**fields, trade_id=trade_id, price=Decimal(price))


@pytest.fixture
def here():
    """Makes a world in which BTC-USD costs 100; hears records, checks orders."""

    class Here:
        def __init__(self, **rules):
            self.book, self.checker = world(**rules)
            self.hearing = Hearing(self.book, self.book.rules.refuse_alerts)
            self.hear("market", trade(100))

        def hear(self, kind, record, now_ms=0):
            self.hearing.hear(kind, record, now_ms)

        def check(self, order, now_ms=0, **more):
            return self.checker.check(order, now_ms, **more)

    return Here


# -- amounts


@pytest.mark.parametrize("said", ["64000.5", "0.000000000000000000000001", "999999999999999999", "1"])
def test_amounts_are_exact(said):
    assert text(units(said)) == said
    assert of_decimal(Decimal(said)) == units(said)
    assert decimal(units(said)) == Decimal(said)


@pytest.mark.parametrize(
    "said", ["1e400", "1e18", "NaN", "Infinity", "-1", "1e-25", "1.0000000000000000000000001", "1e-99999"]
)
def test_amounts_that_cannot_be_kept_exactly_are_refused(said):
    with pytest.raises(PretradeError):
        of_decimal(Decimal(said))
    assert of_decimal(Decimal("-0.0")) == 0
    assert of_decimal(Decimal(MOST // 10**24 - 1)) < MOST


# -- one order


@pytest.mark.parametrize(
    ("limit", "within", "beyond", "code"),
    [
        ({"order_qty": 2}, buy("ann", "1", "2"), buy("ann", "2", "2.000001"), Code.ORDER_QTY),
        ({"order_value": 1000}, buy("ann", "1", "10"), buy("ann", "2", "10.01"), Code.ORDER_VALUE),
        # A buyer's price above the last one, a seller's below: the larger value counts.
        ({"order_value": 1000}, buy("ann", "1", "8", "125"), buy("ann", "2", "8.1", "125"), Code.ORDER_VALUE),
        ({"order_value": 1000}, sell("ann", "1", "10", "50"), sell("ann", "2", "10.1", "50"), Code.ORDER_VALUE),
        ({"price_band": "0.05"}, buy("ann", "1", "1", "105"), buy("ann", "2", "1", "105.01"), Code.PRICE_BAND),
        ({"price_band": "0.05"}, sell("ann", "1", "1", "95"), sell("ann", "2", "1", "94.99"), Code.PRICE_BAND),
        ({"symbol_exposure": 1000}, buy("ann", "1", "10"), buy("ann", "2", "0.1"), Code.SYMBOL_EXPOSURE),
        ({"account_exposure": 1000}, buy("ann", "1", "10"), buy("ann", "2", "0.1"), Code.ACCOUNT_EXPOSURE),
        ({"open_orders": 1}, buy("ann", "1", "1"), buy("ann", "2", "1"), Code.OPEN_ORDERS),
        ({"open_orders": 0}, None, buy("ann", "2", "1"), Code.OPEN_ORDERS),
        ({"orders_per_window": 0}, None, buy("ann", "2", "1"), Code.RATE),
    ],
)
def test_a_limit_lets_through_what_is_within_it_and_nothing_beyond(here, limit, within, beyond, code):
    world = here(default=limit)
    if within is not None:
        assert not world.check(within)
    [reason] = world.check(beyond)
    assert reason.code is code
    assert Decimal(reason.value) > Decimal(reason.limit)
    assert reason.rule == f"limit/{next(iter(limit))}"


def test_all_reasons_are_given(here):
    world = here(default={"order_qty": 1, "order_value": 100, "price_band": "0.01"})
    assert codes(world.check(buy("ann", "1", "2", "200"))) == [Code.ORDER_QTY, Code.ORDER_VALUE, Code.PRICE_BAND]


def test_without_a_price_nothing_that_needs_one_is_let_through(here):
    world = here(default={"order_value": 1000, "price_band": "0.1", "symbol_exposure": 1000})
    assert codes(world.check(buy("ann", "1", "1", symbol="NEW-USD"))) == [Code.NO_PRICE] * 2
    assert codes(world.check(buy("ann", "1", "1", "5", symbol="NEW-USD"))) == [Code.NO_PRICE]  # the band
    assert codes(world.check(buy("ann", "1", "1", "5", symbol="ABC-EUR"))) == [Code.NO_PRICE] * 3  # nor a rate


def test_other_currencies_count_at_their_rates(here):
    world = here(default={"order_value": 1000}, rates={"EUR": 1_250_000}, quotes={"BTC": "EUR"})
    for symbol in ("BTC-EUR", "BTC/EUR", "BTC"):
        world.hear("market", trade(100, symbol))
        assert not world.check(buy("ann", f"1{symbol}", "8", symbol=symbol))
        [reason] = world.check(buy("ann", f"2{symbol}", "8.08", symbol=symbol))
        assert reason.value == "1010"


def test_the_markets_last_trade_is_the_price_and_fills_only_where_there_is_none(here):
    world = here(default={"price_band": "0.05"})
    world.hear("fills", fill("x", 1, account="bob", price=200))
    assert not world.check(buy("ann", "1", "1", "100"))
    world.hear("market", trade(120))
    assert codes(world.check(buy("ann", "2", "1", "100"))) == [Code.PRICE_BAND]
    world.hear("fills", fill("y", 1, account="bob", symbol="NEW-USD", price=50))
    assert not world.check(buy("ann", "3", "1", "50", symbol="NEW-USD"))


def test_nobody_makes_a_price_by_a_low_order_where_nothing_was_traded_yet(here):
    world = here(default={"symbol_exposure": 1000})
    assert not world.check(buy("ann", "1", "1", "0.01", symbol="NEW-USD"))
    assert codes(world.check(buy("bob", "1", "1", symbol="NEW-USD"))) == [Code.NO_PRICE]
    assert not world.check(buy("bob", "2", "1", "600", symbol="NEW-USD"))
    [reason] = world.check(buy("ann", "2", "1", "0.01", symbol="NEW-USD"))
    assert reason.value == "1200"
    world.hear("market", trade(1, "NEW-USD"))
    assert not world.check(buy("ann", "2", "1", "0.01", symbol="NEW-USD"))


def test_a_first_price_counts_until_one_is_heard(here):
    world = here(default={"price_band": "0.1"}, first_prices={"NEW-USD": units("50")})
    assert codes(world.check(buy("ann", "1", "1", "56", symbol="NEW-USD"))) == [Code.PRICE_BAND]
    assert not world.check(buy("ann", "1", "1", "55", symbol="NEW-USD"))
    world.hear("fills", fill("x", 1, account="bob", symbol="NEW-USD", price=80))
    assert not world.check(buy("ann", "2", "1", "80", symbol="NEW-USD"))


def test_a_symbol_that_the_limits_do_not_know_is_refused_where_they_say_so(here):
    world = here(symbols={"BTC-USD": {}}, only_known_symbols=True)
    assert not world.check(buy("ann", "1", "1"))
    assert codes(world.check(buy("ann", "2", "1", symbol="ETH-USD"))) == [Code.SYMBOL]


# -- accounts and symbols


def test_of_an_accounts_limit_and_a_symbols_the_smaller_counts(here):
    world = here(default={"order_qty": 5}, accounts={"mm": {"order_qty": 50}}, symbols={"BTC-USD": {"order_qty": 20}})
    assert codes(world.check(buy("ann", "1", "6"))) == [Code.ORDER_QTY]
    assert not world.check(buy("mm", "1", "20"))
    assert codes(world.check(buy("mm", "2", "21"))) == [Code.ORDER_QTY]


def test_all_accounts_together_have_a_limit_in_a_symbol(here):
    world = here(symbols={"BTC-USD": {"total_exposure": 1000}})
    assert not world.check(buy("ann", "1", "6"))
    assert not world.check(sell("bob", "1", "4"))
    assert codes(world.check(buy("cid", "1", "0.1"))) == [Code.TOTAL_EXPOSURE]


def test_who_has_too_much_may_sell_and_not_buy(here):
    world = here(default={"symbol_exposure": 1000, "account_exposure": 1000})
    world.hear("fills", fill("o", 50))
    assert codes(world.check(buy("ann", "1", "1"))) == [Code.SYMBOL_EXPOSURE, Code.ACCOUNT_EXPOSURE]
    assert not world.check(sell("ann", "2", "50"))
    # The other way round it would be short by as much: that adds.
    assert codes(world.check(sell("ann", "3", "51"))) == [Code.SYMBOL_EXPOSURE, Code.ACCOUNT_EXPOSURE]


def test_the_rate_counts_accepted_orders_in_a_window_that_slides(here):
    world = here(default={"orders_per_window": 2}, window_ms=1000)
    assert not world.check(buy("ann", "1", "1"), 0)
    assert not world.check(buy("ann", "2", "1"), 600)
    assert codes(world.check(buy("ann", "3", "1"), 999)) == [Code.RATE]
    assert not world.check(buy("ann", "1", "1"), 999), "asked again it is no further order"
    assert not world.check(buy("bob", "1", "1"), 999)
    assert not world.check(buy("ann", "3", "1"), 1000)  # the first one is out of (0, 1000]
    assert codes(world.check(buy("ann", "4", "1"), 1599)) == [Code.RATE]


def test_below_the_maintenance_margin_orders_may_only_close(here):
    world = here(default={"margin": True})
    world.hear("fills", fill("o", 5))

    def report(n, ts, equity, maintenance):
        fields = {"equity_usd": Decimal(equity), "maintenance_usd": Decimal(maintenance)}
        return raw(event_id=f"m{n}", account="ann", kind="margin_update", ts=ts, **fields)

    world.hear("accounts", report(1, 2000, 90, 100))
    assert codes(world.check(buy("ann", "1", "1"))) == [Code.MARGIN]
    assert not world.check(sell("ann", "2", "5"))
    world.hear("accounts", report(2, 1000, 200, 100))  # older than what is known
    assert codes(world.check(buy("ann", "3", "1"))) == [Code.MARGIN]
    world.hear("accounts", report(3, "1970-01-01T00:00:03Z", 200, 100))
    assert not world.check(buy("ann", "4", "1"))


# -- orders asked about again


def test_the_same_order_counts_once_and_another_one_may_not_have_its_id(here):
    world = here(default={"symbol_exposure": 1000})
    for _ in range(3):
        assert not world.check(buy("ann", "1", "10", "100"))
    assert codes(world.check(buy("ann", "1", "10", "101"))) == [Code.ORDER_ID]
    assert codes(world.check(sell("ann", "1", "10", "100"))) == [Code.ORDER_ID]
    assert not world.check(buy("bob", "1", "1")), "another account's order"
    world.hear("orders", event("new", "1", 10, price=100))
    assert not world.check(buy("ann", "1", "10", "100"))
    world.hear("orders", event("cancel", "1", 10))
    assert codes(world.check(buy("ann", "1", "10", "100"))) == [Code.ORDER_ID], "it is over"


def test_an_accepted_order_that_was_placed_differently_counts_as_it_was_placed(here):
    world = here(default={"symbol_exposure": 1000})
    assert not world.check(buy("ann", "1", "10"))
    world.hear("orders", event("new", "1", 4, side="sell"))
    holding = world.book.accounts["ann"].holdings["BTC-USD"]
    assert (text(holding.buys), text(holding.sells)) == ("0", "4")


# -- what is let go of


def test_an_accepted_order_that_is_never_announced_is_let_go_of_once_that_is_known(here):
    world = here(default={"symbol_exposure": 1000}, confirm_within_ms=2000)
    assert not world.check(buy("ann", "1", "10"), 500)
    assert world.book.lapse(2499) == 0
    assert codes(world.check(buy("ann", "2", "1"), 2600)) == [Code.SYMBOL_EXPOSURE]
    assert world.book.lapse(2500) == 1
    assert world.book.accounts == {}
    assert not world.check(buy("ann", "2", "10"), 2600)


def test_prices_of_too_many_symbols_are_let_go_of_where_nobody_has_any_the_oldest_and_those_of_orders_first(
    here, monkeypatch
):
    monkeypatch.setattr(book_module, "MOST_MARKETS", 20)
    world = here(
        default={"price_band": Decimal("0.5")}, symbols={"LISTED": {"order_qty": 5}}, first_prices={"FIRST": 7}
    )
    for symbol in ("LISTED", "FIRST", "HELD", "OLD", "SEEN"):
        world.hear("market", trade(100, symbol))
    world.hear("fills", fill("1", 2, symbol="HELD"))
    world.hear("orders", event("new", "2", 1, symbol="OPEN", price=Decimal(3)))
    for n in range(100):
        world.hear("orders", event("new", f"n{n}", 1, symbol=f"N{n}", price=Decimal(3)))
        world.hear("orders", event("cancel", f"n{n}", 1, symbol=f"N{n}"))
    world.hear("market", trade(101, "SEEN"))
    world.book.lapse(0)
    traded = {"BTC-USD", "LISTED", "FIRST", "HELD", "OLD", "SEEN", "OPEN"}
    assert (len(world.book.markets), world.book.forgotten_markets) == (18, 89)
    assert traded <= world.book.markets.keys(), "what only orders have named goes first"
    for n in range(100):
        world.hear("market", trade(5, f"T{n}"))
        world.hear("market", trade(101, "SEEN"))
    world.book.lapse(0)
    left = {"LISTED", "FIRST", "HELD", "OPEN", "SEEN"}
    assert left | {"T99"} <= world.book.markets.keys() <= left | {f"T{n}" for n in range(80, 100)}
    assert codes(world.check(buy("ann", "o", "1", "100", symbol="OLD"))) == [Code.NO_PRICE], "as never heard of"
    assert world.book.markets["SEEN"].price == units("101")


def test_who_asks_again_has_as_long_again_to_place_it(here):
    world = here(default={"symbol_exposure": 1000}, confirm_within_ms=2000)
    assert not world.check(buy("ann", "1", "10"), 500)
    assert not world.check(buy("ann", "1", "10"), 2000)
    assert world.book.lapse(2500) == 0
    assert codes(world.check(buy("ann", "2", "1"), 2600)) == [Code.SYMBOL_EXPOSURE]
    assert world.book.lapse(4000) == 1


def test_orders_that_were_never_placed_count_for_the_rate_as_long_as_its_window(here):
    world = here(default={"orders_per_window": 2}, confirm_within_ms=2000, window_ms=10_000)
    assert not world.check(buy("ann", "1", "1"), 0)
    assert not world.check(buy("ann", "2", "1"), 100)
    assert world.book.lapse(2100) == 2
    assert codes(world.check(buy("ann", "3", "1"), 9_999)) == [Code.RATE]
    assert world.book.lapse(10_100) == 0
    assert world.book.accounts == {}
    assert not world.check(buy("ann", "3", "1"), 10_100)


def test_an_account_that_was_rejected_since_its_window_ended_is_let_go_of(here):
    world = here(default={"orders_per_window": 2, "order_qty": 5}, confirm_within_ms=2000, window_ms=10_000)
    assert not world.check(buy("ann", "1", "1"), 0)
    assert world.book.lapse(2000) == 1
    assert codes(world.check(buy("ann", "2", "9"), 10_050)) == [Code.ORDER_QTY]  # by now nothing counts for the rate
    assert world.book.lapse(10_000) == 0
    assert world.book.accounts == {}


@pytest.mark.parametrize(
    ("rules", "quiet_ms"),
    [
        ({}, 2_000),
        ({"default": {"orders_per_window": 1}}, 9_000),
        ({"accounts": {"ann": {"orders_per_window": 1}}}, 9_000),
        ({"parameters": {"orders_per_window": "p"}}, 9_000),
        ({"default": {"orders_per_window": 1}, "confirm_within_ms": 20_000}, 20_000),
    ],
)
def test_after_a_start_nothing_is_decided_while_orders_accepted_before_count(here, rules, quiet_ms):
    assert here(window_ms=9_000, **rules).book.rules.quiet_ms == quiet_ms


def test_a_long_history_does_not_leave_notes_of_what_has_settled(here, monkeypatch):
    monkeypatch.setattr(book_module, "MOST_SETTLING", 10)
    world = here(settle_within_ms=5000)
    world.hear("fills", fill("early", 1))
    for n in range(100):
        world.hear("orders", event("new", f"{n}", 2))
        world.hear("orders", event("cancel", f"{n}", 1))
        world.hear("fills", fill(f"{n}", 1, trade_id=f"t{n}"))
    assert len(world.book._settling) <= 10
    assert world.book.lapse(5000) == 1, "the early fill is still waited for"


def test_an_announced_order_stays(here):
    world = here(confirm_within_ms=2000, settle_within_ms=5000)
    assert not world.check(buy("ann", "1", "10"), 0)
    world.hear("orders", event("new", "1", 10), 100)
    assert world.book.lapse(10**9) == 0
    assert text(world.book.accounts["ann"].holdings["BTC-USD"].buys) == "10"


def test_what_was_filled_before_a_cancel_is_waited_for_and_then_let_go_of(here):
    world = here(settle_within_ms=5000)
    world.hear("orders", event("new", "1", 10), 0)
    world.hear("orders", event("cancel", "1", 4), 100)  # so 6 were filled
    worst = lambda: text(world.book.accounts["ann"].holdings["BTC-USD"].worst)  # noqa: E731
    assert worst() == "6"
    world.hear("fills", fill("1", 2), 200)
    assert worst() == "6"
    assert world.book.lapse(5099) == 0
    assert world.book.lapse(5100) == 1
    assert worst() == "2"
    world.hear("fills", fill("1", 4, trade_id="late"), 6000)
    assert worst() == "6", "the position is counted however late"
    world.hear("orders", event("new", "1", 10), 6000)
    assert worst() == "6", "and the order is over"


def test_a_cancel_that_comes_before_its_order_is_remembered(here):
    world = here()
    world.hear("orders", event("cancel", "1", 10))
    world.hear("orders", event("new", "1", 10))
    assert not world.book.accounts["ann"].holdings
    assert not world.book.accounts["ann"].orders


# -- freezes, alerts, lists, parameters


def freeze(alert, account="ann", **more):
    return raw(**{"id": alert, "action": "freeze_account", "account": account, "rule": "takeover"} | more)


def alert(alert_id, severity, **key):
    return raw(id=alert_id, rule="spoofing", severity=severity, key=key, row={}, event_time=1, events=[])


def lift(of, account="ann"):
    return raw(id=f"lift {of}", action="lift", account=account, lifts=of)


def test_freezes_and_grave_alerts_reject_with_their_ids_until_they_are_lifted(here):
    world = here()
    world.hear("actions", freeze("a1"))
    world.hear("actions", freeze("a2"))
    world.hear("actions", freeze("a9", action="halt_grid"))  # not about accounts
    world.hear("alerts", alert("a3", "critical", account="ann"))
    world.hear("alerts", alert("a4", "high", account="ann"))
    found = [(r.code, r.rule, r.alerts) for r in world.check(buy("ann", "1", "1"))]
    assert found == [(Code.FROZEN, "takeover", ("a1", "a2")), (Code.ALERT, "spoofing", ("a3",))]
    assert not world.check(buy("bob", "1", "1"))
    for one in ("a1", "a2", "a3"):
        world.hear("actions", lift(one))
    assert not world.check(buy("ann", "1", "1"))


def test_a_lift_counts_also_where_it_comes_first_or_the_action_is_repeated(here):
    world = here()
    world.hear("actions", lift("a1"))
    world.hear("actions", freeze("a1"))
    assert not world.check(buy("ann", "1", "1"))


def test_a_lift_of_another_account_lifts_nothing_not_even_after_a_restart(here):
    world = here()
    world.hear("actions", lift("a1", account="bob"))
    world.hear("actions", freeze("a1"))
    assert codes(world.check(buy("ann", "1", "1"))) == [Code.FROZEN]
    world.hear("actions", lift("a1", account="bob"))
    again = here()
    snapshot.load(again.book, snapshot.dump(world.book), 0)
    assert codes(again.check(buy("ann", "1", "1"))) == [Code.FROZEN]


def test_an_accepted_order_is_rejected_when_asked_again_after_a_freeze(here):
    world = here()
    assert not world.check(buy("ann", "1", "1"))
    world.hear("actions", freeze("a1"))
    assert codes(world.check(buy("ann", "1", "1"))) == [Code.FROZEN]


def state(of, to):
    return raw(alert=of, rule="takeover", key={}, state=to, by="ann", time_ms=1)


def rejected(world):
    return codes(world.check(buy("ann", "1", "1"), dry_run=True))


BOTH = [Code.FROZEN, Code.ALERT]


def test_an_alert_refuses_orders_until_it_is_closed_and_again_when_it_is_reopened(here):
    world = here()
    for kind, record in (("actions", freeze("a1")), ("alerts", alert("a1", "critical", account="ann"))):
        world.hear(kind, record)
    for to in ("open", "acknowledged"):
        world.hear("states", state("a1", to))
        assert rejected(world) == BOTH
    world.hear("states", state("a2", "closed"))  # another one
    assert rejected(world) == BOTH
    world.hear("states", state("a1", "closed"))
    assert rejected(world) == []
    world.hear("actions", freeze("a1"))  # once more, after its closing
    world.hear("states", state("a1", "closed"))
    assert rejected(world) == []
    world.hear("states", state("a1", "open"))
    assert rejected(world) == BOTH


def test_a_closing_that_comes_before_its_alert_counts_and_survives_a_restart(here):
    world = here()
    world.hear("states", state("a1", "closed"))
    world.hear("alerts", alert("a1", "critical", account="ann"))
    assert rejected(world) == []
    again = here()
    snapshot.load(again.book, snapshot.dump(world.book), 0)
    again.hear("actions", freeze("a1"))
    assert rejected(again) == []
    again.hear("states", state("a1", "open"))
    assert rejected(again) == BOTH


def test_what_stood_at_a_restart_can_be_closed_after_it(here):
    world = here()
    world.hear("actions", freeze("a1"))
    again = here()
    snapshot.load(again.book, snapshot.dump(world.book), 0)
    assert rejected(again) == [Code.FROZEN]
    again.hear("states", state("a1", "closed"))
    assert rejected(again) == []


def test_who_was_lifted_stays_so_though_the_alert_is_closed_and_reopened(here):
    world = here()
    world.hear("actions", freeze("a1"))
    world.hear("actions", lift("a1"))
    for to in ("closed", "open"):
        world.hear("states", state("a1", to))
        assert rejected(world) == []


def test_an_account_names_only_so_many_alerts_and_stays_frozen_by_the_others(here):
    world = here()
    for n in range(MOST_ALERTS + 50):
        world.hear("actions", freeze(f"a{n}"))
    [reason] = world.check(buy("ann", "1", "1"))
    assert len(reason.alerts) == MOST_ALERTS + 1
    for n in range(MOST_ALERTS + 50):
        world.hear("actions", lift(f"a{n}"))
    assert codes(world.check(buy("ann", "1", "1"))) == [Code.FROZEN]
    world.hear("actions", lift(BEYOND))
    assert not world.check(buy("ann", "1", "1"))


def test_lists_reject_with_their_version_and_a_list_that_is_gone_lets_nobody_through(here):
    lookups = FixedLookups(lists={"blocked": ["ann"], "halted": ["ETH-USD"], "tradable": ["BTC-USD", "ETH-USD"]})
    names = {"refuse_accounts": ("blocked",), "refuse_symbols": ("halted",), "allow_symbols": "tradable"}
    world = here(lookups=lookups, **names)
    [reason] = world.check(buy("ann", "1", "1"))
    assert (reason.code, reason.rule, reason.version) == (Code.LIST, "list/blocked", lookups.versions()["list blocked"])
    assert not world.check(buy("bob", "1", "1"))
    assert [r.rule for r in world.check(buy("bob", "2", "1", symbol="ETH-USD"))] == ["list/halted"]
    assert [r.rule for r in world.check(buy("bob", "2", "1", symbol="XRP-USD"))] == ["list/tradable"]
    bare = here(lookups=FixedLookups(), **names)
    assert [r.rule for r in bare.check(buy("bob", "1", "1"))] == ["list/blocked", "list/halted", "list/tradable"]


def test_parameters_are_limits_by_account_and_count_as_soon_as_they_change(here):
    class Changing(FixedLookups):
        revision = 1

        def parameter(self, name):
            assert name == "max_notional"
            return self.given

    lookups = Changing()
    lookups.given = Parameter(500.1, {"mm": 5000})
    world = here(lookups=lookups, default={"order_value": 100}, parameters={"order_value": "max_notional"})
    assert codes(world.check(buy("ann", "1", "5.1"))) == [Code.ORDER_VALUE]
    assert world.check(buy("ann", "1", "5.1"))[0].limit == "500.1"
    assert not world.check(buy("mm", "1", "5.1"))
    lookups.given, lookups.revision = Parameter(600), 2
    assert not world.check(buy("ann", "1", "5.1"))
    lookups.given, lookups.revision = Parameter("many"), 3
    with pytest.raises(PretradeError, match="limit order_value: expected a number"):
        world.check(buy("ann", "2", "1"))


# -- records and state


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("orders", None),
        ("orders", b"{"),
        ("orders", b"\xff"),
        ("orders", b"[" * 100_000),
        ("orders", event("amend", "1", 1)),
        ("orders", event("new", "1", -1)),
        ("orders", event("new", "1", "1e300")),
        ("orders", event("new", "", 1)),
        ("orders", event("new", "x" * 1000, 1)),
        ("fills", fill("1", 1).replace(b'"trade_id"', b'"else"')),
        ("market", trade("-1")),
        ("market", raw(symbol="BTC-USD", action="trade")),
        ("accounts", raw(account="ann", kind="margin_update", equity_usd=1, maintenance_usd=1, ts="soon")),
        ("alerts", b'{"id":"a"}'),
        ("actions", raw(id="l", action="lift", account="ann")),
        ("actions", b"x" * (1 << 21)),
        ("states", None),
        ("states", state("a1", "gone")),
    ],
)
def test_a_record_that_does_not_fit_is_refused_and_changes_nothing(here, kind, record):
    world = here()
    before = snapshot.dump(world.book)
    with pytest.raises(PretradeError):
        world.hear(kind, record)
    assert snapshot.dump(world.book) == before


def test_the_rest_of_the_market_is_passed_over(here):
    world = here()
    world.hear("market", b'{"symbol":"BTC-USD","action":"created","order_id":"broken')
    world.hear("accounts", b'{"account":"ann","kind":"login"}')


def test_state_comes_back_whole_but_for_what_was_only_accepted(here):
    world = here(default={"symbol_exposure": 2000, "margin": True}, settle_within_ms=5000)
    world.hear("orders", event("new", "1", 10, price=100))
    world.hear("fills", fill("1", 4))
    world.hear("orders", event("new", "2", 3, side="sell"))
    world.hear("orders", event("cancel", "2", 1))
    world.hear("fills", fill("9", 1, trade_id="early"))
    world.hear("actions", freeze("a1", account="bob"))
    world.hear("actions", lift("a5"))
    margin = {"equity_usd": Decimal(1), "maintenance_usd": Decimal(2)}
    world.hear("accounts", raw(event_id="m", account="ann", kind="margin_update", ts=5, **margin))
    kept = snapshot.dump(world.book)
    assert not world.check(sell("ann", "3", "1"))
    assert snapshot.dump(world.book) == kept, "an accepted order is not in it"

    again = here(settle_within_ms=5000)
    snapshot.load(again.book, kept, 70_000)
    assert again.book.markets["BTC-USD"].total == units("11")
    ann = again.book.accounts["ann"]
    assert (text(ann.holdings["BTC-USD"].position), text(ann.holdings["BTC-USD"].buys)) == ("5", "6")
    assert text(ann.holdings["BTC-USD"].sells) == "2"
    again.hear("fills", fill("1", 4))  # repeated
    again.hear("actions", freeze("a5"))  # lifted before
    assert text(ann.holdings["BTC-USD"].position) == "5"
    assert not ann.frozen
    assert again.book.accounts["bob"].frozen == {"a1": "takeover"}
    assert ann.margin == (5, "m", True)
    assert again.book.lapse(74_999) == 0
    assert again.book.lapse(75_000) == 2, "what is waited for is waited for anew"


def test_after_a_restart_the_limits_first_price_counts_as_they_are_then(here):
    before = here(default={"price_band": "0.1"}, first_prices={"NEW-USD": units("50"), "OLD-USD": units("50")})
    for symbol in ("NEW-USD", "OLD-USD"):
        assert not before.check(buy("ann", f"{symbol}", "1", "50", symbol=symbol))
        before.hear("orders", event("new", f"{symbol}", 1, symbol=symbol, price=50))
    before.hear("fills", fill("x", 1, account="bob", symbol="OLD-USD", price=70))
    again = here(default={"price_band": "0.1"}, first_prices={"NEW-USD": units("80"), "OLD-USD": units("80")})
    snapshot.load(again.book, snapshot.dump(before.book), 0)
    assert codes(again.check(buy("ann", "1", "1", "50", symbol="NEW-USD"))) == [Code.PRICE_BAND]
    assert not again.check(buy("ann", "1", "1", "80", symbol="NEW-USD"))
    assert codes(again.check(buy("ann", "2", "1", "80", symbol="OLD-USD"))) == [Code.PRICE_BAND], "one was heard"
    assert not again.check(buy("ann", "2", "1", "70", symbol="OLD-USD"))


@pytest.mark.parametrize(("market", "price"), [(True, "100"), (False, "300")])
def test_without_the_market_a_price_from_there_gives_way_to_fills(here, market, price):
    before = here()
    again, _ = world()
    snapshot.load(again, snapshot.dump(before.book), 0, market=market)
    Hearing(again, None).hear("fills", fill("x", 1, price=300), 0)
    assert text(again.markets["BTC-USD"].price) == price


@pytest.mark.parametrize("broken", [b"", b"\x80", b"\x81\xa7version\x02", b"\x81\xa7version\x01"])
def test_what_is_no_state_is_refused(here, broken):
    with pytest.raises(PretradeError):
        snapshot.load(here().book, broken, 0)


def test_names_that_are_none_are_refused():
    for fields in (("", "1", "B"), ("a", "", "B"), ("a", "1", "B\n"), ("a" * 65, "1", "B")):
        with pytest.raises(PretradeError):
            new_order(*fields, 1, "1")
