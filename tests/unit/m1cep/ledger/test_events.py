"""Events of the platform as postings."""

import json

import pytest

from m1cep.errors import LedgerError
from m1cep.ledger import Chart, How
from m1cep.ledger.events import HOLD_MS, account_postings, fill_postings

CHART = Chart({"USD": 2, "BTC": 8})
FILL = {
    "event_id": "e1",
    "account": "alice",
    "symbol": "BTC-USD",
    "side": "buy",
    "price": 64000.5,
    "qty": 0.015,
    "fee": 0.96,
    "ts": 5,
}
DEPOSIT = {"event_id": "e1", "account": "alice", "kind": "deposit", "asset": "USD", "amount": 10.5, "ts": 5}


def moves(posting):
    return [(str(debit), str(credit), units) for debit, credit, units in posting.legs]


def filled(**more):
    (posting,) = fill_postings(json.dumps(FILL | more).encode(), CHART)
    return posting


def told(**more):
    return account_postings(json.dumps(DEPOSIT | more).encode(), CHART)


def test_a_buyer_gets_the_base_and_gives_quote_and_fee():
    assert moves(filled()) == [
        ("clearing/platform/BTC", "client/alice/BTC", 1_500_000),
        ("client/alice/USD", "clearing/platform/USD", 96001),  # 960.0075
        ("client/alice/USD", "fees/platform/USD", 96),
    ]


def test_a_seller_gives_the_base_and_gets_quote_less_fee():
    assert moves(filled(side="sell")) == [
        ("client/alice/BTC", "clearing/platform/BTC", 1_500_000),
        ("clearing/platform/USD", "client/alice/USD", 96001),
        ("client/alice/USD", "fees/platform/USD", 96),
    ]


def test_both_sides_of_a_trade_leave_nothing_in_clearing():
    left = {}
    for side in ("buy", "sell"):
        for debit, credit, units in filled(side=side).legs:
            left[str(debit)] = left.get(str(debit), 0) + units
            left[str(credit)] = left.get(str(credit), 0) - units
    assert left["clearing/platform/BTC"] == left["clearing/platform/USD"] == 0


def test_a_rebate_is_paid_by_the_fees():
    assert moves(filled(fee="-0.96"))[2] == ("fees/platform/USD", "client/alice/USD", 96)


@pytest.mark.parametrize("fee", [None, 0, "0.004"])
def test_no_fee_is_no_leg(fee):
    assert len(filled(fee=fee).legs) == 2


def test_numbers_are_read_digit_by_digit():
    raw = json.dumps(DEPOSIT).replace("10.5", "90071992547409.93").encode()  # 2**53 + 1 cents: no double is that
    assert account_postings(raw, CHART)[0].legs[0].units == 2**53 + 1


def test_a_deposit_and_a_withdrawal():
    assert moves(told()[0]) == [("omnibus/platform/USD", "client/alice/USD", 1050)]
    (withdrawal,) = told(kind="withdrawal")
    assert moves(withdrawal) == [("client/alice/USD", "omnibus/platform/USD", 1050)]
    assert withdrawal.how is How.POST


def test_a_request_holds_until_it_is_decided_and_its_payment_settles_it():
    (request,) = told(kind="withdrawal_requested", request_id="r")
    assert (request.how, request.expires_ms) == (How.HOLD, 5 + HOLD_MS)
    (payment,) = told(kind="withdrawal", request_id="r", event_id="e2")
    assert (payment.how, payment.hold) == (How.SETTLE, request.id)
    (refusal,) = told(kind="withdrawal_rejected", request_id="r", event_id="e3", asset=None, amount=None)
    assert (refusal.how, refusal.hold) == (How.RELEASE, request.id)


def test_requests_of_different_accounts_are_different():
    assert told(kind="withdrawal_requested", request_id="r")[0].id != (
        told(kind="withdrawal_requested", request_id="r", account="bob")[0].id
    )


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "login"},
        {"kind": "withdrawal_approved", "request_id": "r"},
        {"kind": "withdrawal_requested"},
        {"kind": "withdrawal_requested", "request_id": "r", "asset": None, "amount": None},
        {"kind": "withdrawal_rejected"},
    ],
)
def test_what_moves_nothing_makes_no_posting(more):
    assert list(told(**more)) == []


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"asset": "GOLD"}, "unknown_asset"),
        ({"asset": None}, "bad_event"),
        ({"amount": None}, "bad_event"),
        ({"amount": "a lot"}, "bad_event"),
        ({"amount": 10.555}, "bad_amount"),
        ({"amount": "1e30"}, "overflows_amount"),
        ({"amount": True}, "bad_event"),
        ({"ts": -1}, "bad_event"),
        ({"ts": 2**63}, "bad_event"),
        ({"ts": "yesterday"}, "bad_event"),
        ({"ts": "1969-12-31T23:59:59Z"}, "bad_event"),
        ({"event_id": ""}, "bad_name"),
        ({"event_id": "a\u0000"}, "bad_name"),
        ({"account": "x" * 300}, "bad_name"),
        ({"account": 5}, "bad_event"),
    ],
)
def test_events_that_cannot_be_posted_say_why(more, code):
    with pytest.raises(LedgerError, match=rf"^{code}: ") as caught:
        told(**more)
    assert caught.value.code == code


@pytest.mark.parametrize("raw", [None, b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_records_that_are_no_events_are_refused(raw):
    for read in (fill_postings, account_postings):
        with pytest.raises(LedgerError, match=r"^bad_event: "):
            read(raw, CHART)


@pytest.mark.parametrize("more", [{"side": "long"}, {"price": 0}, {"qty": -1}, {"price": "NaN"}, {"symbol": "BTC"}])
def test_fills_that_cannot_be_are_refused(more):
    with pytest.raises(LedgerError):
        filled(**more)


def test_times_may_be_text():
    assert told(ts="1970-01-01T00:00:01Z")[0].time_ms == 1000
