"""Which type an operation has, given those of its operands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.model.types import BIGINT, INTERVAL, NULL, SqlType

if TYPE_CHECKING:
    from collections.abc import Iterable


def wider(a: SqlType, b: SqlType) -> SqlType:
    """The numeric type that holds both: DOUBLE before DECIMAL before BIGINT before INT."""
    for kind in ("DOUBLE", "DECIMAL", "BIGINT"):
        for t in (a, b):
            if t.kind == kind:
                return t
    return a


def arithmetic(op: str, a: SqlType, b: SqlType) -> SqlType | None:
    """The type of ``a op b``, or None where there is none."""
    if a.kind == "NULL" or b.kind == "NULL":
        return b if a.kind == "NULL" else a
    if a.is_numeric and b.is_numeric:
        found = wider(a, b)
        return BIGINT if found.kind == "INT" and op != "MOD" else found
    pair = (a.kind, b.kind)
    if op == "SUB" and pair == ("TIMESTAMP", "TIMESTAMP"):
        return INTERVAL
    if op in {"ADD", "SUB"} and pair == ("TIMESTAMP", "INTERVAL"):
        return a
    if op == "ADD" and pair == ("INTERVAL", "TIMESTAMP"):
        return b
    if op in {"ADD", "SUB"} and pair == ("INTERVAL", "INTERVAL"):
        return INTERVAL
    if (op == "MUL" and "INTERVAL" in pair and (a.is_integer or b.is_integer)) or (
        op == "DIV" and a.kind == "INTERVAL" and b.is_integer
    ):
        return INTERVAL
    return None


def comparable(a: SqlType, b: SqlType) -> bool:
    """Whether values of the two types can be compared."""
    return "NULL" in (a.kind, b.kind) or (a.is_numeric and b.is_numeric) or (a.kind == b.kind and a.is_scalar)


def common(types: Iterable[SqlType]) -> SqlType | tuple[SqlType, SqlType]:
    """The type that values of all ``types`` have together (as in COALESCE), or the two that do not go together."""
    found = NULL
    for type_ in types:
        if type_.kind == "NULL" or type_ == found:
            continue
        if found.kind == "NULL":
            found = type_
        elif found.is_numeric and type_.is_numeric:
            found = wider(found, type_)
        elif found.kind != type_.kind or not type_.is_scalar or found.time_unit != type_.time_unit:
            return found, type_
    return found


def fits(type_: SqlType, expected: str) -> bool:
    """Whether a value of ``type_`` is what an operator expects: a kind, "numeric", "integer", "text" or "collection"."""
    match expected:
        case "numeric":
            return type_.is_numeric or type_.kind == "NULL"
        case "integer":
            return type_.is_integer or type_.kind == "NULL"
        case "STRING or integer":
            return type_.is_integer or type_.kind in {"STRING", "NULL"}
        case "ARRAY or MAP":
            return type_.kind in {"ARRAY", "MAP"}
    return type_.kind in {expected, "NULL"}
