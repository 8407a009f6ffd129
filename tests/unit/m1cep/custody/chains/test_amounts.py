"""Amounts as people write them: exact, or refused."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m1cep.custody.chains.amounts import Asset
from m1cep.custody.chains.errors import AmountRefusedError

BTC = Asset("BTC", "satoshi", 8, 21_000_000 * 10**8)
YEN = Asset("JPY", "yen", 0, 10**15)


@pytest.mark.parametrize(
    ("text", "satoshis"),
    [("1", 10**8), ("0.00000001", 1), ("0.5", 5 * 10**7), ("21000000", 21 * 10**14), ("007.10", 710_000_000)],
)
def test_an_amount_is_its_minor_units(text, satoshis):
    assert BTC.parse(text) == satoshis


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0", "above zero"),
        ("0.00000000", "above zero"),
        ("0.000000001", "8 decimals"),
        ("0.100000000", "8 decimals"),
        ("21000000.00000001", "more BTC than there can be"),
        ("-1", "such as"),
        ("+1", "such as"),
        ("1e3", "such as"),
        ("1,5", "such as"),
        (".5", "such as"),
        ("1.", "such as"),
        ("1_000", "such as"),
        (" 1", "such as"),
        ("1\n", "such as"),
        ("NaN", "such as"),
        ("", "such as"),
        ("\u0661", "such as"),
        ("9" * 41, "such as"),
    ],
)
def test_what_is_no_amount_is_refused_with_the_reason(text, why):
    with pytest.raises(AmountRefusedError, match=why):
        BTC.parse(text)


def test_an_asset_without_decimals_takes_whole_numbers_only():
    assert YEN.parse("100") == 100
    assert YEN.show(100) == "100 JPY"
    with pytest.raises(AmountRefusedError, match="0 decimals"):
        YEN.parse("1.0")


@settings(deadline=None)
@given(amount=st.integers(1, BTC.most))
def test_shown_and_read_again_is_the_same(amount):
    shown = BTC.show(amount).removesuffix(" BTC")
    assert BTC.parse(shown) == amount
    assert Decimal(shown) == Decimal(amount).scaleb(-8)


@settings(deadline=None)
@given(text=st.text(max_size=50))
def test_any_text_is_an_amount_or_refused(text):
    try:
        assert 0 < BTC.parse(text) <= BTC.most
    except AmountRefusedError:
        return
