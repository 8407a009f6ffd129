"""Conditions: logic, comparisons, and what SQL has words for: IS, BETWEEN, IN, LIKE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.model.types import BOOLEAN, STRING
from m1cep.plan.ir import Call, Expr, Literal
from m1cep.sql.arguments import only
from m1cep.sql.nodes import position

if TYPE_CHECKING:
    from m1cep.sql.arguments import Check
    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.scope import Scope

_COMPARE: dict[type[exp.Expr], str] = {
    exp.EQ: "EQ",
    exp.NEQ: "NE",
    exp.LT: "LT",
    exp.LTE: "LE",
    exp.GT: "GT",
    exp.GTE: "GE",
}
_SIGNS = {"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}


def chain(node: exp.Expr) -> list[exp.Expr]:
    """The operands of a AND b AND c ..., which sqlglot nests to the left."""
    parts: list[exp.Expr] = []
    kind, at = type(node), node
    while type(at) is kind:
        parts.append(at.expression)
        at = at.this
    return [at, *reversed(parts)]


def compared(
    checker: ExpressionChecker, op: str, node: exp.Expr, left: Expr, right_node: exp.Expr, scope: Scope
) -> Expr:
    """A checked operand, compared with one that is not checked yet."""
    right = checker.check(right_node, scope)
    checker.expect_comparable(left, right, node, _SIGNS[op])
    return Call(op, (left, right), BOOLEAN, left.nullable or right.nullable, left.pos)


def comparable(checker: ExpressionChecker, node: exp.Expr, scope: Scope, what: str) -> tuple[Expr, Expr]:
    """Both operands of ``what``, checked."""
    left, right = checker.check(node.this, scope), checker.check(node.expression, scope)
    checker.expect_comparable(left, right, node, what)
    return left, right


def _comparison(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    left = checker.check(node.this, scope)
    return compared(checker, _COMPARE[type(node)], node, left, node.expression, scope)


def _logic(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    args = tuple(checker.condition(part, scope) for part in chain(node))
    op = "AND" if isinstance(node, exp.And) else "OR"
    return Call(op, args, BOOLEAN, any(a.nullable for a in args), args[0].pos)


def _not(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    arg = checker.condition(node.this, scope)
    return Call("NOT", (arg,), BOOLEAN, arg.nullable, arg.pos)


def _is(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    arg = checker.check(node.this, scope)
    if isinstance(node.expression, exp.Null):
        return Call("IS_NULL", (arg,), BOOLEAN, False, arg.pos)
    if isinstance(node.expression, exp.Boolean):
        arg = checker.condition(node.this, scope)
        return Call("IS_TRUE" if node.expression.this else "IS_FALSE", (arg,), BOOLEAN, False, arg.pos)
    raise checker.refuse("expected IS [NOT] NULL, TRUE or FALSE", node)


def _distinct(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    left, right = comparable(checker, node, scope, "IS DISTINCT FROM")
    return Call("DISTINCT", (left, right), BOOLEAN, False, left.pos)


def _not_distinct(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    return Call("NOT", (_distinct(checker, node, scope),), BOOLEAN, False, position(node))


def _between(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    only(checker, node, "BETWEEN", "this", "low", "high")
    arg = checker.check(node.this, scope)
    low = compared(checker, "GE", node, arg, node.args["low"], scope)
    high = compared(checker, "LE", node, arg, node.args["high"], scope)
    return Call("AND", (low, high), BOOLEAN, low.nullable or high.nullable, low.pos)


def _in(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    if node.args.get("query") is not None or not node.expressions:
        raise checker.refuse("expected a list of values after IN", node, "x IN ('a', 'b')")
    arg = checker.check(node.this, scope)
    items = [checker.check(item, scope) for item in node.expressions]
    for item, item_node in zip(items, node.expressions, strict=True):
        checker.expect_comparable(arg, item, item_node, "IN")
    if all(isinstance(item, Literal) and item.value is not None for item in items):
        return Call("IN", (arg, *items), BOOLEAN, arg.nullable, arg.pos)
    parts = tuple(Call("EQ", (arg, i), BOOLEAN, arg.nullable or i.nullable, arg.pos) for i in items)
    return parts[0] if len(parts) == 1 else Call("OR", parts, BOOLEAN, any(p.nullable for p in parts), arg.pos)


def _like(checker: ExpressionChecker, node: exp.Expr, scope: Scope, escape: str = "") -> Expr:
    arg = checker.expect(checker.check(node.this, scope), "STRING", node, "LIKE")
    pattern = checker.check(node.expression, scope)
    if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
        raise checker.refuse("expected a text constant after LIKE", node.expression)
    found = Call("LIKE", (arg, pattern, Literal(escape, STRING)), BOOLEAN, arg.nullable, arg.pos)
    # sqlglot has NOT LIKE as a flag, and NOT x LIKE as a node
    return Call("NOT", (found,), BOOLEAN, found.nullable, found.pos) if node.args.get("negate") else found


def _escape(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    if not isinstance(node.this, exp.Like) or len(node.expression.name) != 1:
        raise checker.refuse("expected LIKE '...' ESCAPE 'c' with one character", node)
    return _like(checker, node.this, scope, node.expression.name)


CONDITIONS: dict[type[exp.Expr], Check] = {
    **dict.fromkeys(_COMPARE, _comparison),
    exp.And: _logic,
    exp.Or: _logic,
    exp.Not: _not,
    exp.Is: _is,
    exp.NullSafeNEQ: _distinct,
    exp.NullSafeEQ: _not_distinct,
    exp.Between: _between,
    exp.In: _in,
    exp.Like: _like,
    exp.Escape: _escape,
}
