"""What may be asked of the books, and what the books make of it."""

import pytest

from m1cep.errors import LedgerError
from m1cep.ledger import AccountKey, Books, Chart, Entry, How, Kind, Leg, Posting, Result, legs_of
from m1cep.ledger.accounts import MOST_TOTAL, MOST_UNITS, Account, Side
from m1cep.ledger.audit import faults

CHART = Chart({"USD": 2, "BTC": 8}, overdraft=("client/desk-*",))


def account(owner, asset="USD", kind=Kind.CLIENT):
    return AccountKey(kind, owner, asset)


ALICE, BOB, BANK = account("alice"), account("bob"), account("platform", kind=Kind.OMNIBUS)


def posting(name, *legs, owner="alice", **more):
    return Posting(name, "test", owner, 1_000, tuple(Leg(*leg) for leg in legs), **more)


def deposit(units, name="d"):
    return posting(name, (BANK, ALICE, units))


def hold(units, expires_ms=0, name="h"):
    return posting(name, (ALICE, BANK, units), how=How.HOLD, expires_ms=expires_ms)


def settle(units, name="s", of="h"):
    return posting(name, (ALICE, BANK, units), how=How.SETTLE, hold=of)


def release(name="r", of="h"):
    return posting(name, how=How.RELEASE, hold=of)


@pytest.fixture
def books():
    return Books(CHART)


def refused(code):
    return pytest.raises(LedgerError, match=rf"^{code}: ")


def standing(books, key=ALICE):
    one = books.accounts[key]
    return one.balance(Side.CREDIT), one.debits_pending


def untouched(books, posting, code):
    before = books.copy()
    with refused(code):
        books.post(posting)
    for name in ("accounts", "digests", "holds", "ended", "_changes"):
        assert getattr(books, name) == getattr(before, name)


def test_a_transfer_debits_one_account_and_credits_the_other(books):
    assert books.post(deposit(100)) is Result.POSTED
    assert standing(books) == (100, 0)
    assert books.accounts[BANK].balance(Side.DEBIT) == 100


def test_said_twice_it_counts_once(books):
    books.post(deposit(100))
    assert books.post(deposit(100)) is Result.SEEN
    assert standing(books) == (100, 0)


@pytest.mark.parametrize(
    "other",
    [
        deposit(101),
        posting("d", (BANK, BOB, 100)),
        posting("d", (account("platform", kind=Kind.FEES), ALICE, 100)),
        posting("d", (BANK, ALICE, 100), owner="bob"),
        posting("d", (ALICE, BANK, 100), how=How.HOLD),
        posting("d", (ALICE, BANK, 100), how=How.SETTLE, hold="h"),
        Posting("d", "other", "alice", 1_000, (Leg(BANK, ALICE, 100),)),
        Posting("d", "test", "alice", 1_001, (Leg(BANK, ALICE, 100),)),
    ],
)
def test_an_id_cannot_be_used_for_anything_else(books, other):
    books.post(deposit(100))
    untouched(books, other, "id_reused")


def test_a_client_cannot_fall_below_zero_unless_the_chart_says_so(books):
    books.post(deposit(100))
    untouched(books, posting("w", (ALICE, BANK, 101)), "exceeds_credits")
    desk = account("desk-7")
    books.post(posting("x", (desk, BANK, 5)))
    assert standing(books, desk) == (-5, 0)


def test_a_vault_cannot_give_more_than_it_has(books):
    vault = account("v", "BTC", Kind.VAULT)
    books.post(posting("in", (vault, account("alice", "BTC"), 10)))
    untouched(books, posting("out", (account("desk-1", "BTC"), vault, 11)), "exceeds_debits")


def test_one_leg_that_cannot_be_leaves_nothing_of_the_others(books):
    books.post(deposit(100))
    untouched(books, posting("two", (ALICE, BOB, 60), (ALICE, BANK, 60)), "exceeds_credits")


def test_legs_are_judged_by_where_they_lead_not_by_their_order(books):
    books.post(posting("through", (ALICE, BANK, 60), (BANK, ALICE, 60)))
    assert standing(books) == (0, 0)


def test_unbalanced_entries_and_transfers_between_assets_are_refused():
    with refused("unbalanced"):
        legs_of([Entry(ALICE, 5), Entry(BOB, -4)])
    with refused("unbalanced"):
        legs_of([Entry(ALICE, 5), Entry(account("bob", "BTC"), -5)])
    with refused("unbalanced"):
        posting("p", (ALICE, account("bob", "BTC"), 5))


def test_a_journal_becomes_legs_that_move_the_same():
    entries = [Entry(ALICE, 5), Entry(BOB, 2), Entry(BANK, -4), Entry(account("carol"), -3)]
    moved = dict.fromkeys((entry.account for entry in entries), 0)
    for debit, credit, units in legs_of(entries):
        moved[debit] += units
        moved[credit] -= units
    assert moved == {entry.account: entry.units for entry in entries}


@pytest.mark.parametrize("units", [0, -1, MOST_UNITS + 1, 1.0, True])
def test_amounts_that_none_can_be_are_refused(units):
    with refused("overflows_amount"):
        posting("p", (BANK, ALICE, units))


def test_an_account_never_overflows(books):
    books.accounts[ALICE] = Account(credits_posted=MOST_TOTAL - 5)
    untouched(books, deposit(6), "overflows_credits_posted")
    books.post(deposit(5))


def test_an_asset_that_is_not_in_the_chart_is_refused(books):
    gold = posting("p", (account("platform", "GOLD", Kind.OMNIBUS), account("alice", "GOLD"), 1))
    untouched(books, gold, "unknown_asset")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"how": How.SETTLE}, "bad_posting"),
        ({"hold": "h"}, "bad_posting"),
        ({"how": How.SETTLE, "hold": "p"}, "bad_posting"),
        ({"expires_ms": 5}, "bad_posting"),
        ({"owner": ""}, "bad_name"),
        ({"owner": "a\x00"}, "bad_name"),
        ({"owner": "a" * 201}, "bad_name"),
    ],
)
def test_postings_that_cannot_be_meant(more, code):
    with refused(code):
        posting("p", (ALICE, BANK, 1), **more)


def test_a_posting_has_legs_and_goes_somewhere():
    for legs in ((), ((ALICE, ALICE, 1),)):
        with refused("bad_posting"):
            posting("p", *legs)


# -- holds


def test_a_hold_sets_aside_and_cannot_be_spent_otherwise(books):
    books.post(deposit(100))
    books.post(hold(70))
    assert standing(books) == (100, 70)
    untouched(books, posting("w", (ALICE, BANK, 31)), "exceeds_credits")
    untouched(books, hold(31, name="h2"), "exceeds_credits")
    books.post(posting("w", (ALICE, BANK, 30)))


def test_what_comes_in_pending_cannot_be_spent(books):
    books.post(posting("in", (account("desk-1"), ALICE, 50), how=How.HOLD))
    untouched(books, posting("w", (ALICE, BANK, 1)), "exceeds_credits")


def test_settling_posts_what_was_held_and_frees_the_rest(books):
    books.post(deposit(100))
    books.post(hold(70))
    books.post(settle(60))
    assert standing(books) == (40, 0)
    assert books.accounts[BANK].credits_pending == 0


def test_more_than_was_held_or_between_others_is_not_settled(books):
    books.post(deposit(100))
    books.post(hold(70))
    untouched(books, settle(71), "exceeds_hold")
    untouched(books, posting("s", (BOB, BANK, 10), how=How.SETTLE, hold="h"), "hold_differs")


def test_releasing_frees_and_happens_once(books):
    books.post(deposit(100))
    books.post(hold(70))
    books.post(release())
    assert standing(books) == (100, 0)
    books.post(release("again"))  # another word for the same: no harm
    assert standing(books) == (100, 0)


def test_what_was_paid_out_cannot_be_released(books):
    books.post(deposit(100))
    books.post(hold(70))
    books.post(settle(70))
    untouched(books, release(), "already_settled")


#     hold until 5 000        4 999  5 000
#     ├────────────────────────┤      ├──▶ free
def test_a_hold_is_there_until_its_time_and_not_at_it(books):
    books.post(deposit(100))
    books.post(hold(70, expires_ms=5_000))
    assert books.expire(4_999) == []
    assert books.expire(5_000) == ["h"]
    assert standing(books) == (100, 0)
    assert books.expire(9_999) == []


def test_a_payment_after_its_hold_expired_is_booked_by_itself(books):
    books.post(deposit(100))
    books.post(hold(70, expires_ms=5_000))
    books.expire(5_000)
    books.post(settle(70))
    assert standing(books) == (30, 0)


@pytest.mark.parametrize("end", [settle(70), release()], ids=["settled", "released"])
def test_a_hold_that_comes_after_its_end_holds_nothing(books, end):
    books.post(deposit(100))
    books.post(end)
    before = standing(books)
    assert books.post(hold(70)) is Result.POSTED
    assert standing(books) == before
    assert not books.holds


def test_two_payments_for_one_hold_are_two_payments(books):
    books.post(deposit(100))
    books.post(hold(40))
    books.post(settle(40))
    books.post(settle(40, name="s2"))
    assert standing(books) == (20, 0)


def test_changes_are_told_once_and_add_up(books):
    history = []
    for one in (deposit(100), hold(70), settle(60), hold(5, name="h2"), release("r2", "h2")):
        books.post(one)
        history += books.take_changes().transfers
    assert faults(books.accounts, history) == []
    assert books.take_changes().transfers == []
    assert faults(books.accounts, history[:-1]) != []


def test_what_opens_and_ends_between_two_looks_is_not_left_open(books):
    books.post(deposit(100))
    books.post(hold(70))
    books.post(settle(60))
    changes = books.take_changes()
    assert not changes.opened
    assert [entered.ends for entered in changes.postings] == ["", "", "h"]
