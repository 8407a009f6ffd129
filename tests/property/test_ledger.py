"""Books after random events: debits equal credits, balances equal the history, and neither repetition nor order changes them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from m1cep.errors import LedgerError
from m1cep.ledger import AccountKey, Books, Chart, How, Kind, Leg, Posting
from m1cep.ledger.audit import faults
from m1cep.ledger.patience import post_all

CHART = Chart({"USD": 2, "BTC": 8}, overdraft=("client/desk",))
FREE = Chart({"USD": 2, "BTC": 8}, overdraft=("client/*",))
OWNERS = ("alice", "bob", "desk")

owners = st.sampled_from(OWNERS)
assets = st.sampled_from(("USD", "BTC"))
units = st.integers(1, 50)
names = st.sampled_from([f"id{n}" for n in range(12)])
times = st.integers(0, 100)


def client(owner, asset):
    return AccountKey(Kind.CLIENT, owner, asset)


def platform(asset, kind=Kind.OMNIBUS):
    return AccountKey(kind, "platform", asset)


@st.composite
def postings(draw):
    """Anything that can be asked, most of it of ids that were used for something else."""
    name, owner, time_ms = draw(names), draw(owners), draw(times)
    asset, other = client(owner, draw(assets)), None
    how = draw(st.sampled_from(How))
    other = draw(
        st.sampled_from([platform(asset.asset), platform(asset.asset, Kind.FEES), client("carol", asset.asset)])
    )
    legs = [Leg(*draw(st.permutations([asset, other])), draw(units))]
    if how in {How.POST, How.SETTLE} and draw(st.booleans()):
        legs.append(Leg(asset, platform(asset.asset, Kind.FEES), draw(units)))
    hold = draw(names.filter(lambda found: found != name)) if how in {How.SETTLE, How.RELEASE} else ""
    expires_ms = draw(st.sampled_from([0, 50, 150])) if how is How.HOLD else 0
    return Posting(name, "any", owner, time_ms, () if how is How.RELEASE else tuple(legs), how, hold, expires_ms)


steps = st.lists(st.one_of(postings(), st.integers(0, 200)), max_size=40)  # a number: time goes on


@given(steps)
@settings(max_examples=300)
def test_books_balance_after_every_step_and_equal_their_history(steps):
    books, history = Books(CHART), []
    for step in steps:
        before = books.copy()
        try:
            if isinstance(step, int):
                books.expire(step)
            else:
                books.post(step)
        except LedgerError:
            assert books.accounts == before.accounts
            assert books.holds == before.holds
            assert books.digests == before.digests
        history += books.take_changes().transfers
        assert faults(books.accounts, history) == []
        for key, account in books.accounts.items():
            account.check(key)


@st.composite
def lives(draw):
    """What may happen to clients who at any time have what they spend, in its order."""
    have = dict.fromkeys([(owner, asset) for owner in OWNERS for asset in ("USD", "BTC")], 0)
    made, held = [], []
    for n in range(draw(st.integers(1, 14))):
        owner, what = draw(owners), draw(st.sampled_from(["in", "out", "trade", "ask", "pay", "refuse"]))
        asset = draw(assets)
        mine, rest = client(owner, asset), have[owner, asset]
        other = "BTC" if asset == "USD" else "USD"
        if what == "in":
            amount = draw(units)
            have[owner, asset] += amount
            made.append(Posting(f"p{n}", what, owner, n, (Leg(platform(asset), mine, amount),)))
        elif what in {"out", "trade", "ask"} and rest:
            amount = draw(st.integers(1, rest))
            have[owner, asset] -= amount
            legs = [Leg(mine, platform(asset), amount)]
            if what == "trade":
                gained = draw(units)
                have[owner, other] += gained
                legs.append(Leg(platform(other), client(owner, other), gained))
            if what == "ask":
                held.append((f"p{n}", owner, legs[0]))
            made.append(Posting(f"p{n}", what, owner, n, tuple(legs), How.HOLD if what == "ask" else How.POST))
        elif what in {"pay", "refuse"} and held:
            name, owner, leg = held.pop(draw(st.integers(0, len(held) - 1)))
            legs = (leg,) if what == "pay" else ()
            have[owner, leg.debit.asset] += leg.units * (what == "refuse")
            made.append(Posting(f"p{n}", what, owner, n, legs, How.SETTLE if legs else How.RELEASE, name))
    return made


def shuffled_batches(draw, made):
    """The same, each at least once, in any order, cut into batches."""
    again = draw(st.lists(st.sampled_from(made), max_size=8)) if made else []
    order = draw(st.permutations([*made, *again]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=6)))
    return [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]


def standing(books):
    return {key: account for key, account in books.accounts.items() if account.debits_posted or account.credits_posted}


@given(st.data())
@settings(max_examples=400)
def test_whatever_the_order_and_however_often_the_books_are_the_same(data):
    """Also where clients may not overdraw, and a fill is read before the deposit that paid for it."""
    made = data.draw(lives())
    chart = Chart(CHART.decimals)
    one = Books(chart)
    for posting in made:
        one.post(posting)

    other, waiting, history = Books(chart), [], []
    for batch in shuffled_batches(data.draw, made):
        tried = post_all(other, sorted([*waiting, *batch], key=lambda posting: posting.time_ms))
        assert not tried.refused
        waiting = [posting for posting, _ in tried.short]
        history += other.take_changes().transfers
        assert faults(other.accounts, history) == []
        for key, account in other.accounts.items():
            account.check(key)

    assert not waiting
    assert standing(other) == standing(one)
    assert other.holds == one.holds
    assert other.ended.keys() == one.ended.keys()


@given(st.data())
def test_clients_who_may_overdraw_never_wait(data):
    made = data.draw(lives())
    books = Books(FREE)
    for batch in shuffled_batches(data.draw, made):
        tried = post_all(books, batch)
        assert not tried.short
        assert not tried.refused
