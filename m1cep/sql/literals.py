"""Constants and types as they are written in SQL."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from m1cep.errors import RuleError
from m1cep.model.time import INTERVAL_US, parse_duration_us
from m1cep.model.types import BIGINT, BOOLEAN, DOUBLE, INT, INTERVAL, STRING, SqlType
from m1cep.sql.dialect import position

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
_TYPES = (
    "BOOLEAN, INT, BIGINT, DOUBLE, DECIMAL(p,s), STRING, TIMESTAMP(3), TIMESTAMP(6), ARRAY<t>, MAP<STRING, t>, ROW<...>"
)


def number(text: str) -> tuple[int | float | Decimal, SqlType]:
    """A numeric constant: an integer is BIGINT, with an exponent DOUBLE, else exact DECIMAL."""
    if text.isdigit():
        return int(text), BIGINT
    if "e" in text.lower():
        return float(text), DOUBLE
    value = Decimal(text)
    scale = max(0, -int(value.as_tuple().exponent))
    return value, SqlType("DECIMAL", max(scale, len(value.as_tuple().digits)), scale)


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
        amount = Decimal(text.strip())
        exact = int(amount * micros)
    except (ArithmeticError, ValueError):
        raise RuleError(
            f"expected a number in INTERVAL, got {text!r}", source, position(node), hint="INTERVAL '5' SECOND"
        ) from None
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
    numbers = [int(p.name) for p in parts if isinstance(p, exp.DataTypeParam) and p.name.isdigit()]
    if kind == "DECIMAL":
        precision, scale = (*numbers, *(38, 0)[len(numbers) :])[:2]
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
    raise RuleError(
        f"type {node.sql(dialect='trino')[:40]} is not supported", source, position(node), hint=f"there are: {_TYPES}"
    )


def parameter(value: Any) -> tuple[Any, SqlType]:
    """A front-matter parameter with its SQL type; text such as "5 s" is an INTERVAL.

    Raises:
        ValueError: the value is of no SQL type.
    """
    if isinstance(value, bool):
        return value, BOOLEAN
    if isinstance(value, int):
        return value, BIGINT
    if isinstance(value, float):
        return value, DOUBLE
    if isinstance(value, str):
        try:
            return parse_duration_us(value), INTERVAL
        except ValueError:
            return value, STRING
    msg = f"expected a number, text, a duration or true/false, got {value!r}"
    raise ValueError(msg)
