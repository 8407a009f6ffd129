"""Prices and quantities as whole numbers, so that nothing is ever rounded: 1 is 10^-24 of a unit.

Twenty-four decimals hold what the streams' DOUBLE columns bring: at most 17 digits, the first of them at 10^-7 or above.

    units("0.30000000000000004")     300_000_000_000_000_040_000_000
    text(units("64000.50"))          "64000.5"

A product of two amounts has 48 decimals, and with an exchange rate of 6 decimals 54: those are *values* in the limits' currency.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact, InvalidOperation

from m1cep.errors import PretradeError

DIGITS = 24
ONE = 10**DIGITS
RATE_DIGITS = 6
VALUE_DIGITS = 2 * DIGITS + RATE_DIGITS
#: So large that nothing traded comes near it, and small enough that arithmetic with it costs nothing.
MOST = 10**18 * ONE
MAX_CHARACTERS = 48

#: Room for every digit that is let in; were there not, it would say so and not round.
_EXACT = Context(prec=2_000, traps=[Inexact, InvalidOperation])
_PLAIN = re.compile(r"(\d{1,18})(?:\.(\d{1,24}))?", re.ASCII)


def units(amount: str) -> int:
    """A positive decimal number as people and programs write it, without sign or exponent.

    Raises:
        PretradeError: it is none, is not above zero, has more than 18 digits before or 24 behind the point.
    """
    found = _PLAIN.fullmatch(amount)
    if found is None:
        raise PretradeError(f"expected a decimal number such as 64000.5, got {amount[:MAX_CHARACTERS]!r}")
    whole, fraction = found.groups()
    value = int(whole) * ONE if fraction is None else int(whole + fraction.ljust(DIGITS, "0"))
    if not value:
        raise PretradeError(f"expected a number above zero, got {amount!r}")
    return value


def of_decimal(amount: Decimal) -> int:
    """An amount that is not negative, from a record.

    Raises:
        PretradeError: it is no number, is negative, or has more digits than are kept.
    """
    if not amount.is_finite() or amount < 0:
        raise PretradeError(f"expected a number that is not negative, got {amount}")
    # Before it is written out: 1e400 must not become a number of 400 digits.
    if not amount:
        return 0
    if not -DIGITS - MAX_CHARACTERS < amount.adjusted() < len(str(MOST)) - DIGITS - 1:
        raise PretradeError(f"expected an amount below 10^18 and of at most {DIGITS} decimals, got {amount:.3E}")
    scaled = _EXACT.scaleb(amount, DIGITS)
    found = int(scaled)
    if found != scaled:
        raise PretradeError(f"expected at most {DIGITS} decimals, got {amount}")
    return found


def text(amount: int, digits: int = DIGITS) -> str:
    """The number that ``amount`` stands for, exactly, without trailing zeros."""
    whole, fraction = divmod(abs(amount), 10**digits)
    tail = str(fraction).rjust(digits, "0").rstrip("0")
    return f"{'-' if amount < 0 else ''}{whole}{'.' + tail if tail else ''}"


def decimal(amount: int, digits: int = DIGITS) -> Decimal:
    """The same as a Decimal."""
    return Decimal(text(amount, digits))
