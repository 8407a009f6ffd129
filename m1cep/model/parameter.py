"""Values that people set beside a rule's text: of the front matter, of parameter files, of the cache."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from typing import Any

from m1cep.model.time import parse_duration_us
from m1cep.model.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    INTERVAL,
    MAX_BIGINT,
    MAX_INT,
    MIN_BIGINT,
    MIN_INT,
    STRING,
    SqlType,
)

_WIDE = Context(prec=1_000, traps=[])


def parameter(value: Any) -> tuple[Any, SqlType]:
    """A value as it was written, with its SQL type; text such as "5 s" is an INTERVAL, in microseconds.

    Raises:
        ValueError: the value is of no SQL type.
    """
    if isinstance(value, bool):
        return value, BOOLEAN
    if isinstance(value, int) and MIN_BIGINT <= value <= MAX_BIGINT:
        return value, BIGINT
    if isinstance(value, float) and math.isfinite(value):
        return value, DOUBLE
    if isinstance(value, str) and "\0" not in value:
        try:
            micros = parse_duration_us(value)
        except (ValueError, OverflowError):
            return value, STRING
        if micros <= MAX_BIGINT:
            return micros, INTERVAL
    raise ValueError(f"expected a number, text, a duration or true/false, got {_short(value)}")


def fitted(value: Any, wanted: SqlType) -> Any:
    """A value as one of type ``wanted``: an integer may stand for a DOUBLE, a number or its digits for a DECIMAL.

    Raises:
        ValueError: it is of another type.
    """
    if wanted.kind == "STRING" and isinstance(value, str):
        return value
    if wanted.kind == "DECIMAL" and not isinstance(value, bool):
        exact = decimal_of(value, wanted.precision or 38, wanted.scale or 0)
        if exact is not None:
            return exact
    found, type_ = parameter(value)
    if wanted.kind == "DOUBLE" and type_ == BIGINT:
        return float(found)
    if wanted.kind == "INT" and type_ == BIGINT and MIN_INT <= found <= MAX_INT:
        return found
    if type_ == wanted:
        return found
    hint = ", a duration such as '5 s'" if wanted.kind == "INTERVAL" else ""
    raise ValueError(f"expected {wanted}{hint}, got {_short(value)}")


def decimal_of(value: Any, precision: int, scale: int) -> Decimal | None:
    """A number or its digits as DECIMAL(precision, scale), rounded half away from zero; None where it does not fit."""
    try:
        exact = Decimal(repr(value) if isinstance(value, float) else value)
        if not exact.is_finite() or exact.adjusted() > precision - scale:
            return None
        found = exact.quantize(Decimal(1).scaleb(-scale), "ROUND_HALF_UP", _WIDE)
    except (ArithmeticError, ValueError, TypeError):
        return None
    return found if found.adjusted() < precision - scale or not found else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
