"""Constants and types as they are written in SQL."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.errors import RuleError
from m1cep.model.time import INTERVAL_US
from m1cep.model.types import BIGINT, BOOLEAN, DOUBLE, INT, MAX_BIGINT, STRING, SqlType
from m1cep.sql.nodes import position, written

if TYPE_CHECKING:
    from m1cep.errors import SourceText

_SIMPLE = {
    "BOOLEAN": BOOLEAN,
    "TINYINT": INT,
    "SMALLINT": INT,
    "INT": INT,
    "BIGINT": BIGINT,
    "FLOAT": DOUBLE,
    "DOUBLE": DOUBLE,
    "TEXT": STRING,
    "VARCHAR": STRING,
    "CHAR": STRING,
}
MAX_DIGITS = 38  # of a DECIMAL
_TYPES = (
    "BOOLEAN, INT, BIGINT, DOUBLE, DECIMAL(p,s), STRING, TIMESTAMP(3), TIMESTAMP(6), ARRAY<t>, MAP<STRING, t>, ROW<...>"
)


def number(node: exp.Expr, source: SourceText) -> tuple[int | float | Decimal, SqlType]:
    """A numeric constant, as :func:`typed_number`.

    Raises:
        RuleError: it is beyond its type.
    """
    try:
        return typed_number(node.name)
    except ValueError:
        raise RuleError(
            "expected a number within its type",
            source,
            position(node),
            length=len(node.name),
            hint=f"integers up to {MAX_BIGINT}, decimals of up to {MAX_DIGITS} digits, 1e300 is a DOUBLE",
        ) from None


def typed_number(text: str) -> tuple[int | float | Decimal, SqlType]:
    """A number as it is written: an integer is BIGINT, with an exponent DOUBLE, else exact DECIMAL.

    Raises:
        ValueError: it is beyond its type.
    """
    if text.isdecimal():
        whole = int(text) if len(text) <= MAX_DIGITS else MAX_BIGINT + 1
        if whole <= MAX_BIGINT:
            return whole, BIGINT
    elif "e" in text.lower():
        double = float(text)
        if math.isfinite(double):
            return double, DOUBLE
    else:
        try:
            exact = Decimal(text)
        except ArithmeticError:
            raise ValueError(text) from None
        scale = max(0, -int(exact.as_tuple().exponent))
        digits = max(scale, len(exact.as_tuple().digits))
        if digits <= MAX_DIGITS:
            return exact, SqlType("DECIMAL", digits, scale)
    raise ValueError(text)


def interval(node: exp.Expr, source: SourceText) -> int:
    """Microseconds of INTERVAL 'n' UNIT.

    Raises:
        RuleError: the unit is a calendar one or a span, or the amount is not a number.
    """
    unit = node.args.get("unit")
    name = unit.name.upper().rstrip("S") if isinstance(unit, exp.Var) else ""
    micros = INTERVAL_US.get(name)
    if micros is None:
        raise RuleError(
            "expected INTERVAL 'n' with one unit of fixed length",
            source,
            position(node),
            hint=f"units: {', '.join(INTERVAL_US)}",
        )
    text = node.this.name if node.this is not None else ""
    try:
        amount = Decimal(text.strip()) * micros
        exact = int(amount) if abs(amount) <= MAX_BIGINT else None
    except (ArithmeticError, ValueError):
        exact = None
    if exact is None:
        raise RuleError(
            f"expected a number in INTERVAL, got {text[:40]!r}", source, position(node), hint="INTERVAL '5' SECOND"
        )
    return exact


def sql_type(node: exp.Expr, source: SourceText) -> SqlType:
    """A declared type.

    Raises:
        RuleError: it is not one of those that streams may have.
    """
    kind = node.this.name if hasattr(node.this, "name") else str(node.this)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    parts = node.expressions
    numbers = [int(p.name[:9]) for p in parts if isinstance(p, exp.DataTypeParam) and p.name.isdecimal()]
    if kind == "DECIMAL":
        precision, scale = (*numbers, *(MAX_DIGITS, 0)[len(numbers) :])[:2]
        if 1 <= precision <= MAX_DIGITS and scale <= precision:
            return SqlType("DECIMAL", precision, scale)
    if kind in {"TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMPLTZ"}:
        precision = numbers[0] if numbers else 3
        if precision in (0, 3, 6):
            return SqlType("TIMESTAMP", precision or 3)
    if kind == "ARRAY" and len(parts) == 1:
        return SqlType("ARRAY", element=sql_type(parts[0], source))
    if kind == "MAP" and len(parts) == 2 and sql_type(parts[0], source) == STRING:
        return SqlType("MAP", element=sql_type(parts[1], source))
    if kind == "STRUCT":
        fields = tuple(
            (p.name, sql_type(p.args["kind"], source))
            for p in parts
            if isinstance(p, exp.ColumnDef) and p.args.get("kind")
        )
        return SqlType("ROW", fields=fields)
    raise RuleError(f"type {written(node)} is not supported", source, position(node), hint=f"there are: {_TYPES}")
