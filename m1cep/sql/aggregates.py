"""Aggregates over the rows of a window, a variable or a match: COUNT(DISTINCT x) FILTER (WHERE ...) and its like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.model.types import BIGINT, DOUBLE, SqlType
from m1cep.plan.ir import Agg, Expr
from m1cep.sql.nodes import position, written
from m1cep.sql.scope import VariableScope

if TYPE_CHECKING:
    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.scope import RowScope

AGGREGATES: dict[type[exp.Expr], str] = {
    exp.Count: "COUNT",
    exp.Sum: "SUM",
    exp.Avg: "AVG",
    exp.Min: "MIN",
    exp.Max: "MAX",
    exp.Stddev: "STDDEV_SAMP",  # SQL's STDDEV and VARIANCE are those of a sample
    exp.StddevSamp: "STDDEV_SAMP",
    exp.StddevPop: "STDDEV_POP",
    exp.Variance: "VAR_SAMP",
    exp.VariancePop: "VAR_POP",
}
SPREADS = frozenset({"STDDEV_SAMP", "STDDEV_POP", "VAR_SAMP", "VAR_POP"})
_NUMERIC_ONLY = frozenset({"SUM", "AVG", *SPREADS})


def is_aggregate(node: exp.Expr) -> bool:
    """Whether a node is an aggregate call, with or without FILTER."""
    return type(node.this if isinstance(node, exp.Filter) else node) in AGGREGATES


def aggregate_call(checker: ExpressionChecker, node: exp.Expr, scope: RowScope | VariableScope) -> Agg:
    """The checked aggregate of a call over the rows of ``scope``.

    Raises:
        RuleError: it is not an aggregate, or its argument is not of a type it takes.
    """
    call, condition = (node.this, node.expression.this) if isinstance(node, exp.Filter) else (node, None)
    func = AGGREGATES.get(type(call))
    if func is None:
        names = ", ".join(sorted({f"{f}" for f in AGGREGATES.values()}))
        raise checker.refuse(f"{written(call)} is not an aggregate over a window", node, f"there are: {names}")
    scope.place = f"{func}(...)"
    expr, distinct = _argument(checker, func, call, scope)
    scope.place = "FILTER"
    where = checker.condition(condition, scope) if condition is not None else None
    return Agg(func, None, expr, _result_type(func, expr), where, position(call), distinct)


def _argument(
    checker: ExpressionChecker, func: str, call: exp.Expr, scope: RowScope | VariableScope
) -> tuple[Expr | None, bool]:
    """The argument, None for COUNT(*); and whether only different values count."""
    argument, distinct = call.this, False
    if isinstance(argument, exp.Distinct):
        if len(argument.expressions) != 1:
            raise checker.refuse(f"{func}(DISTINCT ...) expects one argument", call, "CONCAT joins several into one")
        argument, distinct = argument.expressions[0], func not in {"MIN", "MAX"}
    if call.expressions or argument is None:
        raise checker.refuse(f"{func} expects one argument", call)
    if isinstance(argument, exp.Star) or (isinstance(argument, exp.Column) and isinstance(argument.this, exp.Star)):
        if func != "COUNT" or distinct:
            raise checker.refuse(f"{func}({'DISTINCT ' * distinct}*) is not SQL", call, f"{func}(column)")
        if isinstance(scope, VariableScope):  # COUNT(A.*)
            scope.note(argument.args["table"].name if argument.args.get("table") else None, position(call))
        return None, False
    expr = checker.check(argument, scope)
    if func in _NUMERIC_ONLY and not expr.type.is_numeric and not (func == "SUM" and expr.type.kind == "INTERVAL"):
        raise checker.refuse(f"{func} expects numeric, got {expr.type}", call)
    if not expr.type.is_scalar and (func != "COUNT" or distinct):
        raise checker.refuse(f"{func}{'(DISTINCT)' * distinct} expects a value, got {expr.type}", call)
    return expr, distinct


def _result_type(func: str, expr: Expr | None) -> SqlType:
    if func == "COUNT" or expr is None:
        return BIGINT
    if func in SPREADS or (func == "AVG" and expr.type.kind != "DECIMAL"):
        return DOUBLE
    return BIGINT if func == "SUM" and expr.type.is_integer else expr.type
