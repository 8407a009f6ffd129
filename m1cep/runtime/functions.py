"""What generated expressions call: numbers and conversions. Arguments are never None; a result of None is SQL's NULL.

Outside their domain (division by zero, LN of a negative number), and where the result would be beyond its type, functions give
NULL: a rule on a stream must not stop for one event, and NULL makes its condition not true.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal
from typing import Any

from m1cep.model.parameter import decimal_of
from m1cep.model.time import parse_time, to_rfc3339
from m1cep.model.types import (
    MAX_BIGINT,
    MAX_DECIMAL,
    MAX_INT,
    MAX_TIME_MS,
    MAX_TIME_US,
    MIN_BIGINT,
    MIN_DECIMAL,
    MIN_INT,
    MIN_TIME_MS,
    MIN_TIME_US,
)

Number = int | float | Decimal

# DECIMAL arithmetic has 38 digits whatever the thread's context; exponents are wide enough for every chain of + - *.
_DECIMALS = Context(prec=38, rounding="ROUND_HALF_UP", traps=[])
decimal_add, decimal_sub, decimal_mul = _DECIMALS.add, _DECIMALS.subtract, _DECIMALS.multiply
decimal_neg, decimal_abs = _DECIMALS.minus, _DECIMALS.abs
_WIDE = Context(prec=1_000, rounding="ROUND_HALF_UP", traps=[])


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def _whole(x: int) -> int | None:
    return x if MIN_BIGINT <= x <= MAX_BIGINT else None


def _decimal(x: Decimal) -> Decimal | None:
    return x if x.is_finite() and MIN_DECIMAL <= x <= MAX_DECIMAL else None


def div(a: float, b: float) -> float | None:
    """``a / b`` as DOUBLE; NULL for division by zero or beyond DOUBLE."""
    return _finite(a / b) if b else None


def div_decimal(a: Decimal | int, b: Decimal | int) -> Decimal | None:
    """``a / b`` to 38 digits; NULL for division by zero."""
    return _decimal(_DECIMALS.divide(a, b)) if b else None


def div_int(a: int, b: int) -> int | None:
    """Integer division, truncated toward zero; NULL for division by zero."""
    if b == 0:
        return None
    quotient = abs(a) // abs(b)
    return _whole(quotient if (a < 0) == (b < 0) else -quotient)


def mod(a: Any, b: Any) -> Any:
    """The remainder with the sign of ``a``; NULL for b = 0."""
    if b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return abs(a) % abs(b) if a >= 0 else -(abs(a) % abs(b))
    if isinstance(a, float) or isinstance(b, float):
        return math.fmod(a, b)
    return _decimal(_WIDE.remainder(a, b))


def sign(x: Any) -> Any:
    """-1, 0 or 1."""
    return type(x)((x > 0) - (x < 0))


def ln(x: Number) -> float | None:
    """Natural logarithm; NULL for x <= 0."""
    return math.log(x) if x > 0 else None


def log(base: Number, x: Number) -> float | None:
    """Logarithm of ``x`` to a base; NULL unless both are positive and the base is not 1."""
    if x <= 0 or base <= 0 or base == 1:
        return None
    if base == 10:
        return math.log10(x)
    return math.log2(x) if base == 2 else _finite(math.log(x) / math.log(base))


def exp(x: Number) -> float | None:
    """E to the power x; NULL beyond DOUBLE."""
    try:
        return math.exp(x)
    except OverflowError:
        return None


def sqrt(x: Number) -> float | None:
    """Square root; NULL for x < 0."""
    return math.sqrt(x) if x >= 0 else None


def power(x: Number, y: Number) -> float | None:
    """X to the power y; NULL where that is not a finite number."""
    try:
        return _finite(math.pow(x, y))
    except (ValueError, OverflowError):
        return None


def ceil(x: Any) -> Any:
    """The next whole number up, of the same type."""
    return to_decimal(math.ceil(x)) if isinstance(x, Decimal) else type(x)(math.ceil(x))


def floor(x: Any) -> Any:
    """The next whole number down, of the same type."""
    return to_decimal(math.floor(x)) if isinstance(x, Decimal) else type(x)(math.floor(x))


def round(x: Any, digits: int) -> Any:
    """Half away from zero, as SQL rounds."""
    return _at_digit(x, digits, "ROUND_HALF_UP")


def truncate(x: Any, digits: int) -> Any:
    """Toward zero."""
    return _at_digit(x, digits, "ROUND_DOWN")


def _at_digit(x: Any, digits: int, rounding: str) -> Any:
    exact = x if isinstance(x, Decimal) else Decimal(repr(x))
    if -int(exact.as_tuple().exponent) <= digits:
        return x
    if exact.adjusted() + 1 < -digits:
        return type(x)(0)
    rounded = exact.quantize(Decimal(1).scaleb(-digits, _WIDE), rounding, _WIDE)
    if isinstance(x, Decimal):
        return _decimal(rounded)
    return _finite(float(rounded)) if isinstance(x, float) else _whole(int(rounded))


def to_decimal(x: Any) -> Decimal | None:
    """A whole number as DECIMAL."""
    return None if x is None else Decimal(x)


def cast(
    value: Any, source: str, target: str, source_unit: str, target_unit: str, precision: int | None, scale: int | None
) -> Any:
    """CAST; NULL where the value has no counterpart in the target type."""
    try:
        match target:
            case "STRING":
                if source == "BOOLEAN":
                    return "TRUE" if value else "FALSE"
                return to_rfc3339(value, source_unit) if source == "TIMESTAMP" else str(value)
            case "BOOLEAN":
                return {"true": True, "false": False}[value.strip().lower()] if source == "STRING" else bool(value)
            case "DOUBLE":
                return _finite(float(_digits(value) if source == "STRING" else value))
            case "DECIMAL":
                return decimal_of(_digits(value) if source == "STRING" else value, precision or 38, scale or 0)
            case "TIMESTAMP":
                return _to_timestamp(value, source, source_unit, target_unit)
            case _:
                low, high = (MIN_INT, MAX_INT) if target == "INT" else (MIN_BIGINT, MAX_BIGINT)
                exact = Decimal(_digits(value)) if source == "STRING" else value
                return int(exact) if low - 1 < exact < high + 1 else None
    except (ValueError, ArithmeticError, KeyError):
        return None


def _digits(text: str) -> str:
    """Python reads 1_000 and digits of every script; SQL does not."""
    if "_" in text or not text.isascii():
        raise ValueError
    return text.strip()


def _to_timestamp(value: Any, source: str, source_unit: str, target_unit: str) -> int | None:
    if source == "STRING":
        return parse_time(value, target_unit)
    found = int(value)
    if source == "TIMESTAMP" and source_unit != target_unit:
        found = found * 1000 if target_unit == "us" else found // 1000
    low, high = (MIN_TIME_US, MAX_TIME_US) if target_unit == "us" else (MIN_TIME_MS, MAX_TIME_MS)
    return found if low <= found <= high else None


def to_double(x: Any) -> float | None:
    """A number as DOUBLE."""
    return None if x is None else float(x)


def plain_decimal(x: Decimal) -> Decimal:
    """The same number without zeros at its end: 1.0 and 1.00 are 1, 100 stays 100."""
    x = x.normalize()
    return x.quantize(Decimal(1)) if x.as_tuple().exponent > 0 else x  # type: ignore[operator]  # finite: an int
