"""Whether two conditions of a row pattern can hold for one row: looked at are constants that columns are compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from m1cep.sql.literals import typed_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FLIPPED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.EQ,
    exp.NEQ: exp.NEQ,
    exp.LT: exp.GT,
    exp.GT: exp.LT,
    exp.LTE: exp.GTE,
    exp.GTE: exp.LTE,
}


@dataclass
class _Values:
    """What a condition lets a column be: one of ``only`` (None: anything), none of ``never``, within the bounds."""

    only: frozenset[Any] | None = None
    never: set[Any] = field(default_factory=set)
    low: tuple[Any, bool] | None = None  # the bound, and whether it is allowed itself
    high: tuple[Any, bool] | None = None


def can_both_hold(a: exp.Expr | None, b: exp.Expr | None, own: tuple[str, str], params: Mapping[str, Any]) -> bool:
    """False where it is certain that no row fits both conditions; None is a condition that always holds.

    Args:
        a: a condition of DEFINE.
        b: another.
        own: the variables that they define; columns of other variables are not of the row at hand.
        params: values of ``:name``.
    """
    if a is None or b is None:
        return True
    left, right = _facts(a, own[0], params), _facts(b, own[1], params)
    return not any(_exclude(left[c], right[c]) for c in left.keys() & right.keys())


def _facts(condition: exp.Expr, own: str, params: Mapping[str, Any]) -> dict[str, _Values]:
    found: dict[str, _Values] = {}
    for part in _conjuncts(condition):
        if isinstance(part, exp.In) and (column := _own_column(part.this, own)):
            values = [_constant(v, params) for v in part.expressions]
            if values and None not in values:
                _narrow(found.setdefault(column, _Values()), exp.EQ, frozenset(values))
            continue
        kind = type(part)
        if kind not in _FLIPPED:
            continue
        column, value = _own_column(part.this, own), _constant(part.expression, params)
        if column is None:
            column, value, kind = _own_column(part.expression, own), _constant(part.this, params), _FLIPPED[kind]
        if column is not None and value is not None:
            _narrow(found.setdefault(column, _Values()), kind, value)
    return found


def _conjuncts(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, exp.And):
        yield from _conjuncts(node.this)
        yield from _conjuncts(node.expression)
    elif isinstance(node, exp.Paren):
        yield from _conjuncts(node.this)
    else:
        yield node


def _own_column(node: exp.Expr, own: str) -> str | None:
    if isinstance(node, exp.Column) and node.table.lower() in {"", own.lower()}:
        return node.name.lower()
    return None


def _constant(node: exp.Expr, params: Mapping[str, Any]) -> Any:
    if isinstance(node, exp.Literal):
        return node.this if node.is_string else typed_number(node.this)[0]
    if isinstance(node, exp.Placeholder):
        return params.get(str(node.this))
    return None


def _narrow(values: _Values, kind: type[exp.Expr], value: Any) -> None:
    if kind is exp.EQ:
        allowed = value if isinstance(value, frozenset) else frozenset({value})
        values.only = allowed if values.only is None else values.only & allowed
    elif kind is exp.NEQ:
        values.never.add(value)
    elif kind in (exp.LT, exp.LTE):
        values.high = value, kind is exp.LTE  # of several the last: enough for what people write
    else:
        values.low = value, kind is exp.GTE


def _exclude(a: _Values, b: _Values) -> bool:
    for x, y in ((a, b), (b, a)):
        if x.only is not None:
            left = x.only - y.never
            left = left if y.only is None else left & y.only
            if all(_outside(v, y) for v in left):
                return True
        if x.low is not None and y.high is not None and _beyond(x.low, y.high):
            return True
    return False


def _outside(value: Any, bounds: _Values) -> bool:
    return (bounds.low is not None and _beyond(bounds.low, (value, True))) or (
        bounds.high is not None and _beyond((value, True), bounds.high)
    )


def _beyond(low: tuple[Any, bool], high: tuple[Any, bool]) -> bool:
    """Nothing lies between two bounds."""
    if isinstance(low[0], str) != isinstance(high[0], str):
        return False
    return bool(low[0] > high[0] or (low[0] == high[0] and not (low[1] and high[1])))
