"""What generated expressions call. Arguments are never None; a result of None is SQL's NULL.

Outside their domain (division by zero, LN of a negative number) functions give NULL: a rule on a stream must not stop for one
event, and NULL makes its condition not true.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from m1cep.model.time import parse_rfc3339, to_rfc3339

Number = int | float | Decimal


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def div(a: Any, b: Any) -> Any:
    """``a / b``; NULL for division by zero or beyond DOUBLE."""
    try:
        return _finite(a / b) if isinstance(a, float) or isinstance(b, float) else (Decimal(a) / b)
    except (ArithmeticError, InvalidOperation):
        return None


def div_int(a: int, b: int) -> int | None:
    """Integer division, truncated toward zero; NULL for division by zero."""
    if b == 0:
        return None
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def mod(a: Any, b: Any) -> Any:
    """The remainder with the sign of ``a``; NULL for b = 0."""
    if b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return a - b * (div_int(a, b) or 0)
    return math.fmod(a, b) if isinstance(a, float) or isinstance(b, float) else Decimal(a) % b


def ln(x: Number) -> float | None:
    """Natural logarithm; NULL for x <= 0."""
    return math.log(x) if x > 0 else None


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
    return type(x)(math.ceil(x))


def floor(x: Any) -> Any:
    """The next whole number down, of the same type."""
    return type(x)(math.floor(x))


def round(x: Any, digits: int) -> Any:
    """Half away from zero, as SQL rounds."""
    quantum = Decimal(1).scaleb(-digits)
    exact = (x if isinstance(x, Decimal) else Decimal(repr(x))).quantize(quantum, rounding="ROUND_HALF_UP")
    return exact if isinstance(x, Decimal) else type(x)(exact)


def nullif(a: Any, b: Any) -> Any:
    """NULL where a = b, else a."""
    return None if a is not None and b is not None and a == b else a


def upper(x: str) -> str:
    """Upper case."""
    return x.upper()


def lower(x: str) -> str:
    """Lower case."""
    return x.lower()


def trim(x: str) -> str:
    """Without blanks at both ends."""
    return x.strip(" ")


def length(x: str) -> int:
    """Characters."""
    return len(x)


def substring(x: str, start: int, count: int | None = None) -> str:
    """Characters from ``start`` (1 is the first), ``count`` of them or all."""
    end = len(x) + 1 if count is None else start + max(count, 0)
    return x[max(start, 1) - 1 : max(end, 1) - 1]


def to_double(x: Any) -> float | None:
    """DECIMAL as DOUBLE."""
    return None if x is None else float(x)


def extract(part: str, value: int, unit: str) -> int:
    """A field of a timestamp in UTC; DOW and DAYOFWEEK count from Sunday = 1 as in Flink."""
    seconds = value // (1_000_000 if unit == "us" else 1_000)
    if part == "EPOCH":
        return seconds
    moment = datetime.fromtimestamp(seconds, UTC)
    if part in {"DOW", "DAYOFWEEK"}:
        return moment.isoweekday() % 7 + 1
    return int(getattr(moment, part.lower()))


def cast(value: Any, source: str, target: str, source_unit: str, target_unit: str, scale: int | None) -> Any:
    """CAST; NULL where the value has no counterpart in the target type."""
    try:
        match target:
            case "STRING":
                if source == "BOOLEAN":
                    return "TRUE" if value else "FALSE"
                return to_rfc3339(value, source_unit) if source == "TIMESTAMP" else str(value)
            case "BOOLEAN":
                return {"true": True, "false": False}[value.lower()] if isinstance(value, str) else bool(value)
            case "DOUBLE":
                return _finite(float(value))
            case "DECIMAL":
                exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
                return exact.quantize(Decimal(1).scaleb(-(scale or 0)), rounding="ROUND_HALF_UP")
            case "TIMESTAMP":
                return _to_timestamp(value, source, source_unit, target_unit)
            case _:
                return int(Decimal(value)) if isinstance(value, str) else int(value)
    except (ValueError, ArithmeticError, KeyError, TypeError):
        return None


def _to_timestamp(value: Any, source: str, source_unit: str, target_unit: str) -> int:
    if source == "STRING":
        return parse_rfc3339(value, target_unit)
    if source == "TIMESTAMP" and source_unit != target_unit:
        return int(value) * 1000 if target_unit == "us" else int(value) // 1000
    return int(value)
