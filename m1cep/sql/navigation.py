"""FIRST, LAST, PREV and aggregates: which rows they speak of (SQL:2016, part 2, 6.15 and 10.9)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.model.types import BIGINT, DOUBLE, SqlType
from m1cep.plan.ir import Agg, Expr, Literal, Nav, Prev, walk
from m1cep.sql.dialect import position
from m1cep.sql.scope import DefineScope, MeasureScope, VariableScope

if TYPE_CHECKING:
    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.scope import RowScope, Scope

AGGREGATES: dict[type[exp.Expr], str] = {
    exp.Count: "COUNT",
    exp.Sum: "SUM",
    exp.Avg: "AVG",
    exp.Min: "MIN",
    exp.Max: "MAX",
}
MAX_OFFSET = 1_000


def navigation(checker: ExpressionChecker, name: str, node: exp.Expr, scope: DefineScope | MeasureScope) -> Expr:
    """FIRST(v.x [, n]), LAST(v.x [, n]), PREV(x [, n]), PREV(FIRST|LAST(v.x [, n]) [, m]).

    Raises:
        RuleError: the argument or the offset is not of that form.
    """
    arguments = list(node.expressions) if isinstance(node, exp.Anonymous) else [node.this, node.args.get("expression")]
    arguments = [a for a in arguments if a is not None]
    if not 1 <= len(arguments) <= 2:
        raise checker.refuse(
            f"{name} expects one argument and an offset, got {len(arguments)}", node, f"{name}(A.price, 2)"
        )
    offset = _offset(checker, name, arguments[1]) if len(arguments) == 2 else (1 if name == "PREV" else 0)
    argument = arguments[0]
    if name == "PREV":
        return _previous(checker, argument, offset, node, scope)
    inner, variable = _argument(checker, argument, scope)
    if not any(True for e in walk(inner) if not isinstance(e, Literal)):
        raise checker.refuse(f"{name} expects a column", node)
    return Nav(name, variable, inner, offset, inner.pos)


def _previous(
    checker: ExpressionChecker,
    argument: exp.Expr,
    offset: int,
    node: exp.Expr,
    scope: DefineScope | MeasureScope,
) -> Expr:
    if isinstance(argument, exp.First | exp.Last):
        anchor = checker.check(argument, scope)
        if not isinstance(anchor, Nav):
            raise checker.refuse("PREV expects a column, FIRST(...) or LAST(...)", node)
        return anchor if offset == 0 else replace(anchor, expr=Prev(anchor.expr, offset, anchor.pos))
    inner, variable = _argument(checker, argument, scope)
    back = Prev(inner, offset, inner.pos) if offset else inner
    if isinstance(scope, DefineScope) and variable in (None, scope.own):
        return back
    return Nav("LAST", variable, back, 0, inner.pos)


def _offset(checker: ExpressionChecker, name: str, node: exp.Expr) -> int:
    if not isinstance(node, exp.Literal) or node.is_string or not node.this.isdigit() or int(node.this) > MAX_OFFSET:
        raise checker.refuse(f"the offset of {name} must be a whole number of at most {MAX_OFFSET}", node)
    return int(node.this)


def _argument(checker: ExpressionChecker, node: exp.Expr, scope: DefineScope | MeasureScope) -> tuple[Expr, str | None]:
    """An argument over the rows of one variable, and that variable (None: all rows of the match)."""
    inner_scope = VariableScope(checker.source, scope.place, scope.stream, scope.variables)
    inner = checker.check(node, inner_scope)
    return inner, inner_scope.seen


def aggregate(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    """COUNT, SUM, AVG, MIN, MAX over the rows of a variable, with an optional FILTER.

    Raises:
        RuleError: it stands where no aggregate may, or its argument is not of a type it takes.
    """
    call, condition = (node.this, node.expression.this) if isinstance(node, exp.Filter) else (node, None)
    func = AGGREGATES.get(type(call))
    if func is None:
        raise checker.refuse("FILTER belongs to COUNT, SUM, AVG, MIN or MAX", node)
    if not isinstance(scope, DefineScope | MeasureScope):
        hint = "aggregates over time are windows: SUM(x) OVER (PARTITION BY ... ORDER BY ts RANGE ...)"
        if isinstance(scope, VariableScope):
            hint = "aggregates and FIRST, LAST, PREV do not stand inside one another"
        raise checker.refuse(f"an aggregate cannot stand in {scope.place}", node, hint)
    inner_scope = VariableScope(checker.source, scope.place, scope.stream, scope.variables)
    expr = aggregate_argument(checker, func, call, inner_scope)
    where = checker.condition(condition, inner_scope) if condition is not None else None
    return aggregate_of(checker, func, expr, where, call, inner_scope.seen)


def aggregate_argument(
    checker: ExpressionChecker, func: str, call: exp.Expr, scope: VariableScope | RowScope
) -> Expr | None:
    """The checked argument; None for COUNT(*) and COUNT(A.*)."""
    argument = call.this
    if call.expressions:
        raise checker.refuse(f"{func} expects one argument", call)
    if isinstance(argument, exp.Distinct):
        raise checker.refuse(f"{func}(DISTINCT ...) is not supported yet", call)
    star = argument is None or isinstance(argument, exp.Star) or isinstance(argument.this, exp.Star)
    if not star:
        return checker.check(argument, scope)
    if func != "COUNT":
        raise checker.refuse(f"{func}(*) is not SQL", call, f"{func}(column)")
    if isinstance(scope, VariableScope):
        table = argument.args.get("table") if argument is not None else None
        scope.note(table.name if table is not None else None, position(call))
    return None


def aggregate_of(
    checker: ExpressionChecker,
    func: str,
    expr: Expr | None,
    where: Expr | None,
    node: exp.Expr,
    variable: str | None = None,
) -> Agg:
    """An aggregate with the type of its result.

    Raises:
        RuleError: SUM or AVG of something that is not a number.
    """
    pos = position(node)
    if func == "COUNT":
        return Agg("COUNT", variable, expr, BIGINT, where, pos)
    assert expr is not None
    if func in {"SUM", "AVG"} and not expr.type.is_numeric and not (func == "SUM" and expr.type.kind == "INTERVAL"):
        raise checker.refuse(f"{func} expects numeric, got {expr.type}", node)
    if not expr.type.is_scalar:
        raise checker.refuse(f"{func} expects a value, got {expr.type}", node)
    return Agg(func, variable, expr, _result_type(func, expr.type), where, pos)


def _result_type(func: str, argument: SqlType) -> SqlType:
    if func == "AVG":
        return argument if argument.kind == "DECIMAL" else DOUBLE
    if func == "SUM" and argument.is_integer:
        return BIGINT
    return argument
