"""Vaults in the books: what custody says makes them hold what the chains hold."""

import pytest
from custodyoffice import ASSETS, CHAINS, FUNDS, SOME, Office, pen

from m1cep.custody.policy.events import Spending, Spent
from m1cep.custody.requests import Timing
from m1cep.errors import LedgerError
from m1cep.ledger import Books, Chart
from m1cep.ledger.accounts import AccountKey, Kind, Side
from m1cep.ledger.audit import faults
from streams.custody import asks, bookings
from streams.custody.derive import chain_of
from streams.custody.mail import RELEASES
from streams.ledger.charts import load_chart
from streams.ledger.custody import custody_postings

QUICK = Timing(resend_ms=500, round_ms=2_000)
CHART = Chart({f"{CHAINS[kind]}/{ASSETS[kind]}": chain_of(CHAINS[kind]).asset.decimals for kind in CHAINS})


@pytest.fixture
def office(tmp_path):
    made = []

    def make(kind, **options):
        one = Office(tmp_path, (kind,), **options)
        made.append(one)
        one.list_destination(kind)
        one.desk_ask(asks.encode(asks.AskFunds(f"fund-{kind}", f"alice-{kind}", FUNDS[kind])))
        one.pass_time(8_000)
        return one

    yield make
    for one in made:
        one.close()


def booked(office):
    """The books after all that was said, each letter twice."""
    books, history = Books(CHART), []
    for record in office.topics[RELEASES]:
        for _ in range(2):
            for posting in custody_postings(record.value, CHART, office.roster):
                books.post(posting)
        history += books.take_changes().transfers
    assert faults(books.accounts, history) == []
    return books


def account(books, kind, of=Kind.VAULT):
    owner = f"alice-{kind}" if of is Kind.VAULT else "alice"
    return books.accounts[AccountKey(of, owner, f"{CHAINS[kind]}/{ASSETS[kind]}")]


def on_chain(office, kind):
    treasury, vault = office.desk._treasury, f"alice-{kind}"
    return treasury.node(vault).balance(treasury.key(vault))


@pytest.mark.parametrize("kind", ["bitcoin", "solana", "evm", "safe"])
def test_a_vault_holds_what_is_on_its_chain_and_the_client_is_owed_it(office, kind):
    here = office(kind)
    funded = account(booked(here), kind).balance(Side.DEBIT)
    assert funded == chain_of(CHAINS[kind]).asset.parse(FUNDS[kind])
    request = here.ask(kind)
    here.until(request, "confirmed")
    here.pass_time(3_000)
    books = booked(here)
    vault, client = account(books, kind), account(books, kind, Kind.CLIENT)
    assert vault.balance(Side.DEBIT) == client.balance(Side.CREDIT) == on_chain(here, kind) <= funded - SOME[kind]
    assert (vault.credits_pending, client.debits_pending) == (0, 0)


def test_while_a_release_is_asked_for_its_amount_is_set_aside_and_free_again_when_it_ends(office):
    here = office("bitcoin", timing=QUICK)
    request = here.ask("bitcoin", amount="2000000")  # large: waits for people
    here.until(request, "approving")
    assert account(booked(here), "bitcoin", Kind.CLIENT).debits_pending == 2_000_000
    here.approve(request, "bob", approve=False)
    here.approve(request, "carol", approve=False)
    here.until(request, "rejected", "expired")
    assert account(booked(here), "bitcoin", Kind.CLIENT).debits_pending == 0


def test_a_coordinator_that_begins_again_books_nothing_twice(office):
    here = office("bitcoin")
    request = here.ask("bitcoin")
    here.until(request, "confirmed")
    before = booked(here).accounts
    here.coordinator.restart()
    here.pass_time(8_000)
    assert len(booked(here).accounts) == len(before)
    assert {key: one.credits_posted for key, one in booked(here).accounts.items()} == {
        key: one.credits_posted for key, one in before.items()
    }


@pytest.mark.parametrize("sender", ["alice", "shop"])
def test_only_sources_of_facts_are_believed(office, sender):
    here = office("bitcoin")
    forged = bookings.Deposited("x", "alice-bitcoin", "alice", 1, CHAINS["bitcoin"], "BTC", "5")
    for name, told in ((sender, sender), ("chains", sender)):
        letter = bookings.write(pen(told), forged).value
        letter = letter.replace(f'"from":"{told}"'.encode(), f'"from":"{name}"'.encode())
        with pytest.raises(LedgerError, match=r"^bad_letter: "):
            custody_postings(letter, CHART, here.roster)


def test_letters_about_other_things_make_no_postings(office):
    here = office("bitcoin")
    for value in (None, b"{", pen("chains").write(RELEASES, "k", "fact", "{}").value):
        assert list(custody_postings(value, CHART, here.roster)) == []


def test_the_packaged_chart_divides_the_chains_assets_as_the_chains_do():
    decimals = load_chart().decimals
    for code, digits in decimals.items():
        chain, slash, symbol = code.partition("/")
        if slash and chain in CHAINS.values():
            asset = chain_of(chain).asset
            assert (symbol, digits) == (asset.symbol, asset.decimals)
    assert {f"{CHAINS[kind]}/{ASSETS[kind]}" for kind in CHAINS} <= decimals.keys()


ABOUT = ("alice", "alice-bitcoin", CHAINS["bitcoin"], "BTC")


@pytest.fixture
def told(office):
    """What a coordinator that tells its books would send, and the books after it, told twice."""
    here = office("bitcoin")
    one = bookings.Bookings(here.roster.vaults, pen("chains"))

    def books(*messages):
        found, history = Books(CHART), []
        for message in (*messages, *messages):
            for posting in custody_postings(message.value, CHART, here.roster):
                found.post(posting)
            history += found.take_changes().transfers
        assert faults(found.accounts, history) == []
        vault, client = account(found, "bitcoin"), account(found, "bitcoin", Kind.CLIENT)
        assert vault.balance(Side.DEBIT) == client.balance(Side.CREDIT)
        return client.balance(Side.CREDIT)

    return one, books


def test_a_deposit_that_a_reorganisation_undid_counts_when_it_is_there_again(told):
    one, books = told
    said = one.deposit("alice-bitcoin", "tx:0", 500, 1)
    assert books(*said) == 500
    said += one.deposit("alice-bitcoin", "tx:0", 500, 2, undone=True)
    assert books(*said) == 0
    said += one.deposit("alice-bitcoin", "tx:0", 500, 3)
    assert books(*said) == 500


def spent(how, time_ms):
    return Spending("r", *ABOUT, "300", how, time_ms)


def test_a_release_that_was_undone_and_sent_again_is_paid_once(told):
    one, books = told
    said = one.deposit("alice-bitcoin", "tx:0", 500, 1)
    said += one.spending(spent(Spent.RELEASED, 2), 7)
    said += one.spending(spent(Spent.RELEASED, 3), 7)
    assert books(*said) == 500 - 300 - 7


def test_a_release_that_was_undone_for_good_is_paid_back_with_its_fee(told):
    one, books = told
    said = one.deposit("alice-bitcoin", "tx:0", 500, 1)
    said += one.spending(spent(Spent.RELEASED, 2), 7)
    later = bookings.Bookings(one._vaults, pen("chains"))  # after a restart
    later.load(one.snapshot())
    said += later.spending(spent(Spent.RETURNED, 3), 0)
    assert books(*said) == 500


def test_a_release_that_may_be_undone_is_remembered_however_many_others_there_are(told, monkeypatch):
    monkeypatch.setattr(bookings, "REMEMBERED", 10)
    one, books = told
    one._most = 10
    said = one.deposit("alice-bitcoin", "tx:0", 500, 1)
    said += one.spending(spent(Spent.RELEASED, 2), 7)
    for n in range(50):
        one.deposit("alice-bitcoin", f"other:{n}", 1, 3)
        one.forget(lambda request_id: request_id == "r")
    assert len(one.snapshot()) <= 13
    said += one.spending(spent(Spent.RETURNED, 4), 0)
    assert books(*said) == 500
    one.forget(lambda _: False)
    for n in range(20):
        one.deposit("alice-bitcoin", f"more:{n}", 1, 3)
        one.forget(lambda _: False)
    assert "paid/r" not in [kept["id"] for kept in one.snapshot()]
