"""What chooses one of several values: CASE, IF, COALESCE, NULLIF, GREATEST, LEAST."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.model.types import NULL, SqlType
from m1cep.plan.ir import Call, Expr, Literal
from m1cep.sql.conditions import comparable, compared
from m1cep.sql.nodes import position
from m1cep.sql.types import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.sql.arguments import Check
    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.scope import Scope


def _case(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    args: list[Expr] = []
    operand = checker.check(node.this, scope) if node.this is not None else None  # CASE x WHEN value
    for branch in node.args["ifs"]:
        args += [
            compared(checker, "EQ", branch, operand, branch.this, scope)
            if operand is not None
            else checker.condition(branch.this, scope),
            checker.check(branch.args["true"], scope),
        ]
    default = node.args.get("default")
    args.append(checker.check(default, scope) if default is not None else Literal(None, NULL))
    results = [*args[1::2], args[-1]]
    return Call("CASE", tuple(args), _common(checker, results, node), any(r.nullable for r in results), position(node))


def _if(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    return _case(checker, exp.Case(ifs=[node], default=node.args.get("false")), scope)


def _coalesce(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    args = tuple(checker.check(a, scope) for a in (node.this, *node.expressions))
    return Call("COALESCE", args, _common(checker, args, node), all(a.nullable for a in args), args[0].pos)


def _nullif(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    left, right = comparable(checker, node, scope, "NULLIF")
    return Call("NULLIF", (left, right), left.type, True, left.pos)


def _greatest(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    args = tuple(checker.check(a, scope) for a in (node.this, *node.expressions))
    op = "GREATEST" if isinstance(node, exp.Greatest) else "LEAST"
    return Call(op, args, _common(checker, args, node), any(a.nullable for a in args), args[0].pos)


def _common(checker: ExpressionChecker, args: Sequence[Expr], node: exp.Expr) -> SqlType:
    found = common(a.type for a in args)
    if isinstance(found, tuple):
        raise checker.refuse(
            f"expected values of one type, got {found[0]} and {found[1]}", node, "CAST(x AS ...) converts"
        )
    return found


CHOICES: dict[type[exp.Expr], Check] = {
    exp.Case: _case,
    exp.If: _if,
    exp.Coalesce: _coalesce,
    exp.Nullif: _nullif,
    exp.Greatest: _greatest,
    exp.Least: _greatest,
}
