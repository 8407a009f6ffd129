"""What lacks funds waits for what brings them."""

from m1cep.ledger import AccountKey, Books, Chart, How, Kind, Leg, Posting
from m1cep.ledger.patience import post_all

CHART = Chart({"USD": 2, "BTC": 8})


def client(asset, owner="alice"):
    return AccountKey(Kind.CLIENT, owner, asset)


def market(asset):
    return AccountKey(Kind.CLEARING, "platform", asset)


def gets(name, asset, units):
    return Posting(name, "deposit", "alice", 1, (Leg(market(asset), client(asset), units),))


def gives(name, asset, units, how=How.POST):
    return Posting(name, "withdrawal", "alice", 1, (Leg(client(asset), market(asset), units),), how)


def swaps(name, given, units, got, gained):
    legs = (Leg(client(given), market(given), units), Leg(market(got), client(got), gained))
    return Posting(name, "fill", "alice", 1, legs)


def names(postings):
    return [posting.id for posting in postings]


def test_a_withdrawal_before_its_deposit_is_booked_with_it():
    tried = post_all(Books(CHART), [gives("out", "USD", 5), gets("in", "USD", 5)])
    assert sorted(names(tried.posted)) == ["in", "out"]


def test_without_it_waits_and_says_what_is_missing():
    books = Books(CHART)
    tried = post_all(books, [gives("out", "USD", 5), gets("in", "USD", 4)])
    assert names(tried.posted) == ["in"]
    assert [(p.id, str(why)) for p, why in tried.short] == [
        ("out", "exceeds_credits: client/alice/USD lacks 1 minor units")
    ]
    assert "out" not in books.digests
    assert names(post_all(books, [gives("out", "USD", 5), gets("in2", "USD", 1)]).posted) == ["in2", "out"]


#   in truth:    in 100   buy -100 +1   sell -1 +150   out 50
#   as read:     in 100   out 50        buy: lacks 50 USD      sell: lacks 1 BTC       neither can be first any more
def test_trades_that_need_each_other_because_of_one_between_are_booked_together():
    books = Books(CHART)
    post_all(books, [gets("in", "USD", 100), gives("out", "USD", 50)])
    tried = post_all(books, [swaps("buy", "USD", 100, "BTC", 1), swaps("sell", "BTC", 1, "USD", 150)])
    assert names(tried.posted) == ["buy", "sell"]
    assert not tried.short


def test_what_would_leave_anybody_below_zero_even_together_waits():
    books = Books(CHART)
    tried = post_all(books, [swaps("buy", "USD", 100, "BTC", 1), swaps("sell", "BTC", 1, "USD", 99)])
    assert names(p for p, _ in tried.short) == ["buy", "sell"]
    assert not books.accounts
    assert not books.take_changes().transfers


def test_a_hold_waits_too():
    books = Books(CHART)
    tried = post_all(books, [gives("hold", "USD", 5, How.HOLD), gets("in", "USD", 5)])
    assert sorted(names(tried.posted)) == ["hold", "in"]
    assert "hold" in books.holds


def test_the_same_twice_is_booked_once():
    books = Books(CHART)
    tried = post_all(books, [gives("out", "USD", 5), gives("out", "USD", 5), gets("in", "USD", 10)])
    assert sorted(names(tried.posted)) == ["in", "out"]
    assert names(tried.seen) == ["out"]


def test_an_id_for_two_things_is_refused_though_both_wait():
    tried = post_all(Books(CHART), [gives("out", "USD", 5), gives("out", "USD", 6), gets("in", "USD", 20)])
    assert [(p.id, why.code) for p, why in tried.refused] == [("out", "id_reused")]
