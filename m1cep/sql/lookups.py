"""IN_LIST and PARAM: names of lists and parameters that are read while the rule runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.model.types import BOOLEAN, STRING, SqlType
from m1cep.plan.ir import Call, Expr, Literal
from m1cep.sql.nodes import position, written

if TYPE_CHECKING:
    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.scope import Scope

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")
_TYPES = frozenset({"BOOLEAN", "INT", "BIGINT", "DOUBLE", "DECIMAL", "STRING"})


def in_list(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    """IN_LIST('name', x): whether the list has x. NULL where x is NULL.

    Raises:
        RuleError: the name is not a constant, or x is of a type that lists do not have.
    """
    args = node.expressions
    if len(args) != 2:
        raise checker.refuse("IN_LIST expects a list's name and a value", node, "IN_LIST('sanctions', address)")
    name = _name(checker, args[0], "IN_LIST")
    item = checker.expect(checker.check(args[1], scope), "STRING or integer", args[1], "IN_LIST")
    checker.reads_list = True
    on_missing = Literal(checker.on_missing, STRING)
    return Call("IN_LIST", (name, item, on_missing), BOOLEAN, item.nullable or checker.may_lack, position(node))


def param(checker: ExpressionChecker, node: exp.Expr, scope: Scope, type_: SqlType) -> Expr:
    """PARAM('name' [, key]): the parameter's value for a key, else for all; NULL where there is none, or the key is NULL.

    Its values must be of ``type_``: DOUBLE, or that of a CAST around it.

    Raises:
        RuleError: the name is not a constant, or the type is not one that parameters have.
    """
    args = node.expressions
    if not 1 <= len(args) <= 2:
        raise checker.refuse("PARAM expects a parameter's name and a key", node, "PARAM('max_notional', account)")
    if type_.kind not in _TYPES:
        raise checker.refuse(f"a parameter cannot be {type_}", node, f"there are: {', '.join(sorted(_TYPES))}")
    name = _name(checker, args[0], "PARAM")
    if len(args) == 1:
        return Call("PARAM", (name,), type_, checker.may_lack, position(node))
    key = checker.expect(checker.check(args[1], scope), "STRING or integer", args[1], "PARAM")
    return Call("PARAM", (name, key), type_, True, position(node))


def _name(checker: ExpressionChecker, node: exp.Expr, what: str) -> Literal:
    if not isinstance(node, exp.Literal) or not node.is_string or not _NAME.fullmatch(node.name):
        raise checker.refuse(
            f"{what} expects a name as its first argument, got {written(node)}",
            node,
            "a text constant of letters, digits, _ . -",
        )
    return Literal(node.name, STRING, position(node))
