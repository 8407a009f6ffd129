"""Constants that a row must have for a rule to react to it, so that rules can be found by a row's values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m1cep.plan.ir import Call, Col, Expr, Literal, conjuncts

if TYPE_CHECKING:
    from collections.abc import Iterable

Constants = tuple[tuple[str, tuple[Any, ...]], ...]
_EXACT = frozenset({"STRING", "BOOLEAN", "INT", "BIGINT"})  # equal in SQL is equal in Python, and hashes alike


def constants(condition: Expr) -> dict[str, tuple[Any, ...]]:
    """By attribute, the values one of which a row must have for the condition to be true."""
    found: dict[str, tuple[Any, ...]] = {}
    for part in conjuncts(condition):
        if not isinstance(part, Call) or part.op not in {"EQ", "IN"}:
            continue
        column, *values = part.args
        if isinstance(column, Literal) and len(values) == 1:
            column, values = values[0], [column]
        if isinstance(column, Col) and column.type.kind in _EXACT and all(_fits(v, column) for v in values):
            found.setdefault(column.attr, tuple(dict.fromkeys(v.value for v in values if isinstance(v, Literal))))
    return found


def _fits(value: Expr, column: Col) -> bool:
    if not isinstance(value, Literal) or value.value is None:
        return False
    return value.type.kind == column.type.kind or (value.type.is_integer and column.type.is_integer)


def any_of(conditions: Iterable[Expr]) -> Constants:
    """The values one of which a row must have for any of several conditions to be true."""
    merged: dict[str, tuple[Any, ...]] | None = None
    for condition in conditions:
        found = constants(condition)
        if merged is None:
            merged = found
        else:
            merged = {attr: tuple(dict.fromkeys(merged[attr] + found[attr])) for attr in merged if attr in found}
    return tuple((merged or {}).items())
