"""The pre-trade check under all orders of events: exposure is never counted too low, and decisions are the reference's."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from pretradeworld import Reference, raw, world

from m1cep.pretrade import Code, Hearing, Side, new_order, snapshot
from m1cep.pretrade.amounts import decimal
from m1cep.pretrade.holdings import Holding

SYMBOLS, ACCOUNTS = ("BTC-USD", "ETH-USD"), ("ann", "bob")
SIDE = {"buy": Side.BUY, "sell": Side.SELL}
QTY = st.integers(1, 400).map(lambda n: Decimal(n) / 100)


@st.composite
def lives(draw):
    """What really happens to some orders: placed, filled in parts, perhaps cancelled; each as (kind, fields), in true order."""
    events, cells = [], []
    for n in range(draw(st.integers(1, 5))):
        account, symbol = draw(st.sampled_from(ACCOUNTS)), draw(st.sampled_from(SYMBOLS))
        side, qty = draw(st.sampled_from(("buy", "sell"))), draw(QTY)
        common = {"account": account, "order_id": f"o{n}", "symbol": symbol, "side": side}
        life, left = [("new", {**common, "qty": qty})], qty
        for t in range(draw(st.integers(0, 3))):
            part = min(left, draw(QTY))
            if part <= 0:
                break
            left -= part
            life.append(("fill", {**common, "trade_id": f"t{n}-{t}", "qty": part}))
        if left and draw(st.booleans()):
            life.append(("cancel", {**common, "qty": left}))
        cells.append(life)
    while cells:  # the lives run side by side
        life = draw(st.sampled_from(cells))
        events.append(life.pop(0))
        cells = [one for one in cells if one]
    return events


def hear(hearing, event, now_ms=0):
    kind, fields = event
    if kind == "fill":
        hearing.hear("fills", raw(**fields, price=Decimal(100)), now_ms)
    else:
        hearing.hear("orders", raw(**fields, action=kind), now_ms)


def holding(book, account, symbol):
    found = book.accounts.get(account)
    return (found.holdings.get(symbol) if found else None) or Holding()


def tell(reference, event):
    kind, fields = event
    names = [fields[n] for n in ("account", "order_id")]
    if kind == "fill":
        reference.filled(*names, fields["trade_id"], fields["symbol"], fields["side"], fields["qty"])
    elif kind == "cancel":
        reference.cancelled(*names, fields["qty"])
    else:
        reference.announced(*names, fields["symbol"], fields["side"], fields["qty"])


@settings(max_examples=200, deadline=None)
@given(life=lives(), data=st.data())
def test_exposure_is_never_below_the_truth_whatever_comes_when_and_how_often(life, data):
    """The truth: every order is accepted here before it is placed, and then everything happens at once. What is heard of it comes
    in any order, repeated, each piece at any time after it happened.
    """
    book, checker = world()
    hearing, truth, happened = Hearing(book, None), Reference(), []
    for event in life:
        if event[0] == "new":
            fields = event[1]
            names = (fields["account"], fields["order_id"], fields["symbol"])
            assert not checker.check(new_order(*names, SIDE[fields["side"]], str(fields["qty"])), 0)
        tell(truth, event)
        happened.append(event)
        for heard in data.draw(st.lists(st.sampled_from(happened), max_size=3)):
            hear(hearing, heard)
        for account in ACCOUNTS:
            for symbol in SYMBOLS:
                assert decimal(holding(book, account, symbol).worst) >= truth.worst(account, symbol)
    for event in data.draw(st.permutations(happened)):  # and in the end it is exact
        hear(hearing, event)
    for account in ACCOUNTS:
        for symbol in SYMBOLS:
            found = holding(book, account, symbol)
            parts = tuple(map(decimal, (found.position, found.buys, found.sells)))
            assert parts == truth.parts(account, symbol)
    assert all(account.open == len(account.orders) for account in book.accounts.values())
    totals = {s: sum(a.holdings[s].worst for a in book.accounts.values() if s in a.holdings) for s in SYMBOLS}
    assert {s: book.markets[s].total for s in SYMBOLS if s in book.markets} == {
        s: t for s, t in totals.items() if s in book.markets
    }


@settings(max_examples=150, deadline=None)
@given(life=lives(), data=st.data())
def test_what_is_known_is_a_matter_of_which_events_came_also_across_a_restart(life, data):
    """Any order, repetitions, and a restart somewhere: the same as the reference that keeps every event."""
    heard = data.draw(st.lists(st.sampled_from(life), max_size=12))
    restart = data.draw(st.integers(0, len(heard)))
    book, _ = world()
    reference = Reference()
    for n, event in enumerate(heard):
        if n == restart:
            kept, (book, _) = snapshot.dump(book), world()
            snapshot.load(book, kept, 0)
        hear(Hearing(book, None), event)
        tell(reference, event)
        for account in ACCOUNTS:
            for symbol in SYMBOLS:
                found = holding(book, account, symbol)
                parts = tuple(map(decimal, (found.position, found.buys, found.sells)))
                assert parts == reference.parts(account, symbol)


ASKS = st.tuples(
    st.just("ask"),
    st.sampled_from(ACCOUNTS),
    st.sampled_from(SYMBOLS),
    st.sampled_from(("buy", "sell")),
    QTY,
    st.none() | st.integers(50, 150).map(Decimal),
)


@st.composite
def scripts(draw):
    """Pieces of what happened, in any order and repeated, and orders that are asked about in between."""
    life = draw(lives())
    return draw(st.lists(st.one_of(ASKS, ASKS, st.sampled_from(life)), min_size=1, max_size=15))


def judge(reference, marks, most, total, ask):
    """The codes of all reasons, counted anew from every event that ever came."""
    _, account, symbol, side, qty, price = ask
    mark, found = marks[symbol], set()
    if qty > most["order_qty"]:
        found.add(Code.ORDER_QTY)
    if qty * max(mark, price or 0) > most["order_value"]:
        found.add(Code.ORDER_VALUE)
    if price is not None and abs(price - mark) / mark > most["price_band"]:
        found.add(Code.PRICE_BAND)
    if reference.open_orders(account) >= most["open_orders"]:
        found.add(Code.OPEN_ORDERS)
    now, then = reference.worst(account, symbol), reference.worst(account, symbol, side, qty)
    if then > now:
        if then * mark > most["symbol_exposure"]:
            found.add(Code.SYMBOL_EXPOSURE)
        if (
            sum(reference.worst(account, s) * m for s, m in marks.items()) + (then - now) * mark
            > most["account_exposure"]
        ):
            found.add(Code.ACCOUNT_EXPOSURE)
        if (sum(reference.worst(a, symbol) for a in ACCOUNTS) + then - now) * mark > total:
            found.add(Code.TOTAL_EXPOSURE)
    return found


@settings(max_examples=300, deadline=None)
@given(script=scripts(), prices=st.tuples(*(st.integers(80, 120).map(Decimal) for _ in SYMBOLS)))
def test_decisions_are_those_of_the_slow_reference(script, prices):
    """The reference keeps no sums: for each question it counts everything that ever came."""
    most = {
        "order_qty": Decimal("3.5"),
        "order_value": Decimal(300),
        "price_band": Decimal("0.25"),
        "open_orders": 3,
        "symbol_exposure": Decimal(500),
        "account_exposure": Decimal(800),
    }
    totals = {"BTC-USD": Decimal(900), "ETH-USD": Decimal(700)}
    book, checker = world(default=most, symbols={s: {"total_exposure": t} for s, t in totals.items()})
    hearing, reference = Hearing(book, None), Reference()
    marks = dict(zip(SYMBOLS, prices, strict=True))
    for symbol, price in marks.items():
        hearing.hear("market", raw(symbol=symbol, action="trade", price=price), 0)
    for n, step in enumerate(script):
        if step[0] != "ask":
            hear(hearing, step)
            tell(reference, step)
            continue
        _, account, symbol, side, qty, price = step
        expected = judge(reference, marks, most, totals[symbol], step)
        asked = new_order(account, f"q{n}", symbol, SIDE[side], str(qty), None if price is None else str(price))
        for _ in range(2):  # asked twice it counts once
            reasons = checker.check(asked, 0)
            assert {reason.code for reason in reasons} == expected
        if not reasons:
            reference.accept(account, f"q{n}", symbol, side, qty)


STEPS = st.tuples(
    st.sampled_from(("ask", "ask", "ask too much", "place and cancel", "lapse")),
    st.sampled_from(ACCOUNTS),
    st.sampled_from((0, 300, 1_000, 2_500, 10_000)),
)


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEPS, max_size=30), window_ms=st.sampled_from((500, 2_000, 9_000)), lag_ms=st.integers(0, 1_500))
def test_the_rate_is_that_of_a_slow_count_however_time_passes_and_nothing_is_kept_for_ever(steps, window_ms, lag_ms):
    """Of each account: when its orders were accepted, all of them, counted anew for each question."""
    rules = {"default": {"orders_per_window": 2, "order_qty": 5}, "confirm_within_ms": 2_000}
    book, checker = world(window_ms=window_ms, **rules)
    accepted = {account: [] for account in ACCOUNTS}
    now_ms, unplaced = 0, []
    for n, (what, account, wait_ms) in enumerate(steps):
        now_ms += wait_ms
        if what == "lapse":
            book.lapse(now_ms - lag_ms)
        elif what == "place and cancel":
            for order in unplaced[:1]:
                book.announced(order.account, order, now_ms)
                book.cancelled(order.account, order.id, order.symbol, order.side, order.qty, now_ms)
            del unplaced[:1]
        else:
            order = new_order(account, f"o{n}", SYMBOLS[0], SIDE["buy"], "1" if what == "ask" else "9")
            expected = {Code.ORDER_QTY} if what != "ask" else set()
            if sum(now_ms - window_ms < at_ms for at_ms in accepted[account]) >= 2:
                expected.add(Code.RATE)
            reasons = checker.check(order, now_ms)
            assert {reason.code for reason in reasons} == expected
            if not reasons:
                accepted[account].append(now_ms)
                unplaced.append(order)
    book.lapse(now_ms + 1_000_000)
    assert not any(account.orders or account.holdings for account in book.accounts.values())
