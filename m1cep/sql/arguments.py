"""Arguments of functions: looked at one by one, refused where they are missing, of a wrong type or one too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from sqlglot import exp

from m1cep.plan.ir import Call, Expr
from m1cep.sql.nodes import position

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.model.types import SqlType
    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.scope import Scope

    Check: TypeAlias = Callable[[ExpressionChecker, exp.Expr, Scope], Expr]  # of one kind of node

# sqlglot sets these to say how a function was spelt; they do not change what it means here
_FLAGS = frozenset({"safe", "ignore_nulls", "coalesce", "is_nvl", "is_null", "offset", "binary", "is_left"})


def only(checker: ExpressionChecker, node: exp.Expr, name: str, *known: str) -> None:
    """Refuse an argument or clause that would be ignored otherwise."""
    for arg, value in node.args.items():
        if value and arg not in known and arg not in _FLAGS:
            raise checker.refuse(f"{name} does not take {arg.upper().replace('_', ' ').strip()} here", node)


def argument(checker: ExpressionChecker, node: exp.Expr, name: str, expected: str, op: str, scope: Scope) -> Expr:
    """One argument of a function, of the type it must have."""
    found = node.args.get(name)
    if not isinstance(found, exp.Expr):
        raise checker.refuse(f"{op} expects one argument more", node)
    return checker.expect(checker.check(found, scope), expected, found, op)


def call(op: str, args: tuple[Expr, ...], type_: SqlType, node: exp.Expr, *, partial: bool = False) -> Call:
    """A call at the node's place; ``partial``: NULL outside its domain."""
    return Call(op, args, type_, partial or any(a.nullable for a in args), position(node))
