"""Charts of accounts, and amounts to whole minor units."""

from decimal import Decimal

import pytest

from m1cep.errors import LedgerError
from m1cep.ledger import AccountKey, Chart, Kind, parse_chart
from m1cep.ledger.accounts import MOST_UNITS
from m1cep.ledger.chart import multiply
from streams.ledger.charts import load_chart

CHART = Chart({"USD": 2, "BTC": 8, "ETH": 18, "YEN": 0, "bitcoin:main/BTC": 8}, {"XBTUSD": ("BTC", "USD")})


@pytest.mark.parametrize(
    ("asset", "amount", "units"),
    [
        ("USD", "12.34", 1234),
        ("USD", "1.20000", 120),
        ("BTC", "1e-8", 1),
        ("YEN", "7", 7),
        ("ETH", "79228162514.264337593543950335", MOST_UNITS),
    ],
)
def test_amounts_are_exact(asset, amount, units):
    assert CHART.units(asset, Decimal(amount)) == units


@pytest.mark.parametrize(
    ("asset", "amount", "code"),
    [
        ("USD", "0.001", "bad_amount"),
        ("USD", "0", "bad_amount"),
        ("USD", "-1", "bad_amount"),
        ("USD", "NaN", "bad_amount"),
        ("USD", "sNaN1", "bad_amount"),
        ("USD", "Infinity", "bad_amount"),
        ("USD", "1e999999999", "bad_amount"),
        ("USD", "1e-999999999", "bad_amount"),
        ("USD", "0." + "3" * 5000, "bad_amount"),
        ("ETH", "79228162514.264337593543950336", "overflows_amount"),
        ("GOLD", "1", "unknown_asset"),
    ],
)
def test_amounts_that_are_none_are_refused(asset, amount, code):
    with pytest.raises(LedgerError, match=rf"^{code}: ") as caught:
        CHART.units(asset, Decimal(amount))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("amount", "units"), [("0.005", 0), ("0.015", 2), ("0.025", 2), ("-0.015", -2), ("1.999", 200)]
)
def test_what_is_reckoned_is_rounded_half_to_even(amount, units):
    assert CHART.rounded("USD", Decimal(amount)) == units


def test_products_are_exact():
    a, b = Decimal("12345678901234567890.1234567891"), Decimal("0.00000000000000000000000001")
    assert multiply(a, b) == Decimal("0.000000123456789012345678901234567891")


@pytest.mark.parametrize(
    ("symbol", "pair"), [("BTC-USD", ("BTC", "USD")), ("ETH/BTC", ("ETH", "BTC")), ("XBTUSD", ("BTC", "USD"))]
)
def test_symbols_say_what_is_traded_for_what(symbol, pair):
    assert CHART.pair(symbol) == pair


@pytest.mark.parametrize("symbol", ["BTCUSD", "BTC-GOLD", "-", "", "BTC-USD-X"])
def test_symbols_of_no_two_assets_are_refused(symbol):
    with pytest.raises(LedgerError, match=r"^unknown_asset"):
        CHART.pair(symbol)


def test_who_may_overdraw_is_a_pattern_of_kind_and_owner():
    chart = Chart({"USD": 2}, overdraft=("client/desk-*", "vault/v?"))
    assert chart.may_overdraw(AccountKey(Kind.CLIENT, "desk-1", "USD"))
    assert chart.may_overdraw(AccountKey(Kind.VAULT, "v1", "USD"))
    assert not chart.may_overdraw(AccountKey(Kind.VAULT, "desk-1", "USD"))
    assert not chart.may_overdraw(AccountKey(Kind.CLIENT, "Desk-1", "USD"))


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"assets": {"USD": -1}},
        {"assets": {"USD": 31}},
        {"assets": {"USD": "2"}},
        {"assets": {"USD": True}},
        {"assets": {"": 2}},
        {"assets": [2]},
        {"assets": {"USD": 2}, "asset": {}},
        {"assets": {"USD": 2}, "accounts": {"overdrafts": []}},
        {"assets": {"USD": 2}, "accounts": {"overdraft": "client/*"}},
        {"assets": {"USD": 2}, "accounts": {"overdraft": ["fees/*"]}},
        {"assets": {"USD": 2}, "accounts": {"overdraft": [1]}},
        {"assets": {"USD": 2}, "markets": {"X": ["USD", "BTC"]}},
        {"assets": {"USD": 2}, "markets": {"X": "USD"}},
    ],
)
def test_charts_that_cannot_be_meant(plain):
    with pytest.raises(LedgerError, match=r"^bad_(chart|name): "):
        parse_chart(plain)


def test_the_packaged_chart_knows_what_the_demo_trades_and_lets_nobody_overdraw():
    chart = load_chart()
    for symbol in ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "LTC-USD"):
        chart.pair(symbol)
    assert chart.overdraft == ()


def test_account_ids_differ_whatever_is_put_into_the_names():
    keys = [("client", "a/b", "c"), ("client", "a", "b/c"), ("client", "a", "bc"), ("clien", "ta", "bc")]
    assert len({AccountKey(*key).id for key in keys}) == len(keys)
