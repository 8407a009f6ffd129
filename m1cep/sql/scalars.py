"""Scalar functions: which there are, what they take and give.

``check_scalar`` looks a node's class up in ``_PLAIN`` (functions whose arguments are plain values) and then in ``_SPECIAL``
(those with a keyword or a constant among them). Functions of times are in ``moments``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.errors import nearest
from m1cep.model.types import BIGINT, BOOLEAN, DOUBLE, STRING, SqlType
from m1cep.plan.ir import Call, Expr, Literal, may_leave_type
from m1cep.sql.arguments import argument, call, only
from m1cep.sql.moments import MOMENTS, truncated
from m1cep.sql.nodes import position

if TYPE_CHECKING:
    from m1cep.sql.arguments import Check
    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.scope import Scope


@dataclass(frozen=True, slots=True)
class _Plain:
    """A function of plain values: argument names as sqlglot has them with what each must be, type of the result.

    ``type`` None is the first argument's. ``partial``: NULL outside its domain.
    """

    op: str
    args: tuple[tuple[str, str], ...]
    type: SqlType | None
    partial: bool = False


_X = (("this", "numeric"),)
_TEXT = (("this", "STRING"),)
_PLAIN: dict[type[exp.Expr], _Plain] = {
    exp.Sign: _Plain("SIGN", _X, None),
    exp.Ln: _Plain("LN", _X, DOUBLE, partial=True),
    exp.Exp: _Plain("EXP", _X, DOUBLE, partial=True),
    exp.Sqrt: _Plain("SQRT", _X, DOUBLE, partial=True),
    exp.Pow: _Plain("POWER", (("this", "numeric"), ("expression", "numeric")), DOUBLE, partial=True),
    exp.Upper: _Plain("UPPER", _TEXT, STRING),
    exp.Lower: _Plain("LOWER", _TEXT, STRING),
    exp.Length: _Plain("LENGTH", _TEXT, BIGINT),
    exp.Reverse: _Plain("REVERSE", _TEXT, STRING),
    exp.StrPosition: _Plain("STRPOS", (("this", "STRING"), ("substr", "STRING")), BIGINT),
    exp.StartsWith: _Plain("STARTS_WITH", (("this", "STRING"), ("expression", "STRING")), BOOLEAN),
    exp.EndsWith: _Plain("ENDS_WITH", (("this", "STRING"), ("expression", "STRING")), BOOLEAN),
    exp.Left: _Plain("LEFT", (("this", "STRING"), ("expression", "integer")), STRING),
    exp.Right: _Plain("RIGHT", (("this", "STRING"), ("expression", "integer")), STRING),
    exp.SplitPart: _Plain(
        "SPLIT_PART", (("this", "STRING"), ("delimiter", "STRING"), ("part_index", "integer")), STRING, partial=True
    ),
    exp.ArraySize: _Plain("CARDINALITY", (("this", "ARRAY or MAP"),), BIGINT),
}


def check_scalar(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr | None:
    """The checked call of a scalar function, or None when the node is not one.

    Raises:
        RuleError: an argument is of a wrong type, missing or one too many.
    """
    plain = _PLAIN.get(type(node))
    if plain is not None:
        only(checker, node, plain.op, *(name for name, _ in plain.args))
        args = tuple(argument(checker, node, name, expected, plain.op, scope) for name, expected in plain.args)
        return call(plain.op, args, plain.type or args[0].type, node, partial=plain.partial)
    special = _SPECIAL.get(type(node))
    return None if special is None else special(checker, node, scope)


def _abs(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    only(checker, node, "ABS", "this")
    arg = checker.check(node.this, scope)
    if arg.type.kind != "INTERVAL":
        checker.expect(arg, "numeric", node, "ABS")
    found = call("ABS", (arg,), arg.type, node)
    return replace(found, nullable=True) if may_leave_type(found) else found


def _log(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    if node.args.get("expression") is None:
        raise checker.refuse("LOG expects a base and a number", node, "LN(x), LOG10(x) or LOG(2, x)")
    args = tuple(argument(checker, node, n, "numeric", "LOG", scope) for n in ("this", "expression"))
    return call("LOG", args, DOUBLE, node, partial=True)


def _floor(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    op = "FLOOR" if isinstance(node, exp.Floor) else "CEIL"
    unit = node.args.get("to")
    if unit is not None:
        only(checker, node, op, "this", "to")
        return truncated(checker, node, unit.name, scope, up=op == "CEIL")
    only(checker, node, op, "this")
    arg = argument(checker, node, "this", "numeric", op, scope)
    return call(op, (arg,), arg.type, node, partial=True)


def _round(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    op = "ROUND" if isinstance(node, exp.Round) else "TRUNCATE"
    only(checker, node, op, "this", "decimals")
    arg = argument(checker, node, "this", "numeric", op, scope)
    places: Expr = Literal(0, BIGINT)
    if node.args.get("decimals") is not None:
        places = argument(checker, node, "decimals", "integer", op, scope)
    return call(op, (arg, places), arg.type, node, partial=True)


def _substring(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    only(checker, node, "SUBSTRING", "this", "start", "length")
    args = [argument(checker, node, "this", "STRING", "SUBSTRING", scope)]
    args.append(argument(checker, node, "start", "integer", "SUBSTRING", scope))
    if node.args.get("length") is not None:
        args.append(argument(checker, node, "length", "integer", "SUBSTRING", scope))
    return call("SUBSTRING", tuple(args), STRING, node)


def _trim(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    only(checker, node, "TRIM", "this", "expression", "position")
    where = str(node.args.get("position") or "BOTH").upper()
    characters: Expr = Literal(" ", STRING)
    if node.args.get("expression") is not None:
        characters = argument(checker, node, "expression", "STRING", "TRIM", scope)
    op = {"LEADING": "LTRIM", "TRAILING": "RTRIM"}.get(where, "TRIM")
    return call(op, (argument(checker, node, "this", "STRING", op, scope), characters), STRING, node)


def _replace(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    args = [argument(checker, node, n, "STRING", "REPLACE", scope) for n in ("this", "expression")]
    replacement: Expr = Literal("", STRING)
    if node.args.get("replacement") is not None:
        replacement = argument(checker, node, "replacement", "STRING", "REPLACE", scope)
    return call("REPLACE", (*args, replacement), STRING, node, partial=True)


def _concat_ws(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    """NULL only for a NULL separator; other NULLs are left out."""
    args = tuple(checker.expect(checker.check(n, scope), "STRING", n, "CONCAT_WS") for n in node.expressions)
    if len(args) < 2:
        raise checker.refuse("CONCAT_WS expects a separator and values", node, "CONCAT_WS('-', a, b)")
    return Call("CONCAT_WS", args, STRING, args[0].nullable, position(node))


def _bracket(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    """array[n], the first is 1; map['key']. NULL where there is no such element."""
    base = checker.check(node.this, scope)
    if base.type.kind not in {"ARRAY", "MAP"} or len(node.expressions) != 1 or base.type.element is None:
        raise checker.refuse(f"expected an ARRAY or a MAP before [ ], got {base.type}", node)
    expected = "integer" if base.type.kind == "ARRAY" else "STRING"
    key = checker.expect(checker.check(node.expressions[0], scope), expected, node.expressions[0], f"{base.type} [ ]")
    op = "ELEMENT" if base.type.kind == "ARRAY" else "ENTRY"
    return call(op, (base, key), base.type.element, node, partial=True)


def _dot(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    return field(checker, checker.check(node.this, scope), node.expression.name, node)


def field(checker: ExpressionChecker, base: Expr, name: str, node: exp.Expr) -> Expr:
    """``base.name``: a field of a ROW.

    Raises:
        RuleError: it is no ROW, or has no such field.
    """
    if base.type.kind != "ROW":
        raise checker.refuse(f"expected a ROW before .{name}, got {base.type}", node)
    for known, type_ in base.type.fields:
        if known.lower() == name.lower():
            return call("FIELD", (base, Literal(known, STRING)), type_, node, partial=True)
    raise checker.refuse(f"{base.type} has no field {name!r}", node, nearest(name, [n for n, _ in base.type.fields]))


def _contains(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    base = argument(checker, node, "this", "ARRAY", "CONTAINS", scope)
    item = checker.check(node.expression, scope)
    if base.type.element is not None:
        checker.expect_comparable(base, item, node, "CONTAINS", base.type.element)
    return call("CONTAINS", (base, item), BOOLEAN, node, partial=True)


_SPECIAL: dict[type[exp.Expr], Check] = {
    exp.Abs: _abs,
    exp.Log: _log,
    exp.Floor: _floor,
    exp.Ceil: _floor,
    exp.Round: _round,
    exp.Trunc: _round,
    exp.Substring: _substring,
    exp.Trim: _trim,
    exp.Replace: _replace,
    exp.ConcatWs: _concat_ws,
    exp.Bracket: _bracket,
    exp.Dot: _dot,
    exp.ArrayContains: _contains,
    **MOMENTS,
}
_OTHERS = (
    exp.Coalesce,
    exp.Nullif,
    exp.Greatest,
    exp.Least,
    exp.Concat,
    exp.Cast,
    exp.Count,
    exp.Sum,
    exp.Avg,
    exp.Min,
    exp.Max,
)
NAMES = sorted(
    {"IN_LIST", "PARAM", "TIMESTAMPDIFF", "CLASSIFIER", "MATCH_NUMBER", "FIRST", "LAST", "PREV", "NEXT"}
    | {name for kind in (*_PLAIN, *_SPECIAL, *_OTHERS) if issubclass(kind, exp.Func) for name in kind.sql_names()}
)
"""Functions, for hints."""
