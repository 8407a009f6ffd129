"""FIRST, LAST, PREV and aggregates: which rows they speak of (SQL:2016, part 2, 6.15 and 10.9)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.plan.ir import Agg, Expr, Label, Literal, MatchNumber, Nav, Prev, walk
from m1cep.sql.aggregates import aggregate_call
from m1cep.sql.nodes import Semantics, position
from m1cep.sql.scope import DefineScope, MeasureScope, VariableScope, known_variable

if TYPE_CHECKING:
    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.scope import Scope

MAX_OFFSET = 1_000


def navigation(checker: ExpressionChecker, name: str, node: exp.Expr, scope: DefineScope | MeasureScope) -> Expr:
    """FIRST(v.x [, n]), LAST(v.x [, n]), PREV(x [, n]), NEXT(x [, n]), PREV|NEXT(FIRST|LAST(v.x [, n]) [, m]).

    Raises:
        RuleError: the argument or the offset is not of that form.
    """
    arguments = list(node.expressions) if isinstance(node, exp.Anonymous) else [node.this, node.args.get("expression")]
    arguments = [a for a in arguments if a is not None]
    if not 1 <= len(arguments) <= 2:
        raise checker.refuse(
            f"{name} expects one argument and an offset, got {len(arguments)}", node, f"{name}(A.price, 2)"
        )
    physical = name in {"PREV", "NEXT"}
    offset = _offset(checker, name, arguments[1]) if len(arguments) == 2 else (1 if physical else 0)
    argument = arguments[0]
    if physical:
        return _neighbour(checker, name, argument, offset if name == "PREV" else -offset, scope)
    inner, variable = _argument(checker, argument, scope)
    if not any(True for e in walk(inner) if not isinstance(e, Literal)):
        raise checker.refuse(f"{name} expects a column", node)
    return Nav(name, variable, inner, offset, inner.pos)


def _neighbour(
    checker: ExpressionChecker, name: str, argument: exp.Expr, offset: int, scope: DefineScope | MeasureScope
) -> Expr:
    """A row beside another in the partition; ``offset`` is negative for rows after it."""
    inside = argument.this if isinstance(argument, Semantics) else argument
    if isinstance(inside, exp.First | exp.Last):
        anchor = checker.check(argument, scope)
        if not isinstance(anchor, Nav):
            raise checker.refuse(f"{name} expects a column, FIRST(...) or LAST(...)", argument)
        return replace(anchor, expr=_shifted(checker, anchor.expr, offset, argument))
    inner, variable = _argument(checker, argument, scope)
    shifted = _shifted(checker, inner, offset, argument)
    if isinstance(scope, DefineScope) and variable in (None, scope.own):
        return shifted
    return Nav("LAST", variable, shifted, 0, inner.pos)


def _shifted(checker: ExpressionChecker, inner: Expr, offset: int, node: exp.Expr) -> Expr:
    if offset < 0 and any(isinstance(e, Label) for e in walk(inner)):
        raise checker.refuse("NEXT of CLASSIFIER() is not supported: the row after is not mapped yet", node)
    return Prev(inner, offset, inner.pos) if offset else inner


def semantics(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    """RUNNING or FINAL before a navigation or an aggregate.

    Raises:
        RuleError: FINAL in DEFINE, or before something else.
    """
    mode = node.args["mode"]
    if not isinstance(scope, DefineScope | MeasureScope):
        raise checker.refuse(f"{mode} belongs into MEASURES of MATCH_RECOGNIZE", node)
    if isinstance(scope, DefineScope) and mode == "FINAL":
        raise checker.refuse("FINAL cannot stand in DEFINE: the match has no end yet", node)
    inner = checker.check(node.this, scope)
    if not isinstance(inner, Nav | Agg):
        raise checker.refuse(f"{mode} expects FIRST, LAST or an aggregate", node, f"{mode} LAST(A.price)")
    return replace(inner, final=mode == "FINAL")


def classifier(checker: ExpressionChecker, node: exp.Anonymous, scope: Scope) -> Expr:
    """CLASSIFIER() and CLASSIFIER(v): the variable of the row at hand, or of the last row mapped to v.

    Raises:
        RuleError: it stands outside of MATCH_RECOGNIZE, or its argument is not a variable.
    """
    pos = position(node)
    arguments = node.expressions
    if len(arguments) > 1 or (arguments and (not isinstance(arguments[0], exp.Column) or arguments[0].table)):
        raise checker.refuse("CLASSIFIER expects nothing or a variable", node, "CLASSIFIER(A)")
    name = arguments[0].name if arguments else None
    if isinstance(scope, VariableScope):
        scope.note(name, pos)
        return Label(pos)
    if not isinstance(scope, DefineScope | MeasureScope):
        raise checker.refuse("CLASSIFIER belongs into DEFINE or MEASURES of MATCH_RECOGNIZE", node)
    variable = None if name is None else known_variable(name, scope.variables, pos, scope)
    if isinstance(scope, DefineScope) and variable in (None, scope.own):
        return Label(pos)
    return Nav("LAST", variable, Label(pos), 0, pos)


def match_number(checker: ExpressionChecker, node: exp.Anonymous, scope: Scope) -> Expr:
    """MATCH_NUMBER().

    Raises:
        RuleError: it stands elsewhere than in MEASURES, or has an argument.
    """
    if node.expressions:
        raise checker.refuse("MATCH_NUMBER has no argument", node)
    if not isinstance(scope, MeasureScope):
        raise checker.refuse(
            "MATCH_NUMBER belongs into MEASURES: before a match is decided its number is not known", node
        )
    return MatchNumber(position(node))


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
    """An aggregate over the rows of a variable or of the match, with an optional FILTER.

    Raises:
        RuleError: it stands where no aggregate may, or its argument is not of a type it takes.
    """
    if not isinstance(scope, DefineScope | MeasureScope):
        hint = "aggregates over time are windows: SUM(x) OVER (PARTITION BY ... ORDER BY ts RANGE ...)"
        if isinstance(scope, VariableScope):
            hint = "aggregates and FIRST, LAST, PREV do not stand inside one another"
        raise checker.refuse(f"an aggregate cannot stand in {scope.place}", node, hint)
    inner_scope = VariableScope(checker.source, scope.place, scope.stream, scope.variables)
    return replace(aggregate_call(checker, node, inner_scope), variable=inner_scope.seen)
