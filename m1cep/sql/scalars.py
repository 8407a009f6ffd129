"""Scalar functions: which there are, what they take and give.

``check_scalar`` looks a node's class up in ``_PLAIN`` (functions whose arguments are plain values) and then in ``_SPECIAL``
(those with a keyword, a unit or a constant among them).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from sqlglot import exp

from m1cep.errors import nearest
from m1cep.model.time import INTERVAL_US
from m1cep.model.types import BIGINT, BOOLEAN, DOUBLE, STRING, SqlType
from m1cep.plan.ir import Call, Expr, Literal, may_leave_type
from m1cep.sql.dialect import position

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.scope import Scope

    Special: TypeAlias = Callable[[ExpressionChecker, exp.Expr, Scope], Expr]


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
_PART_FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Year: "YEAR",
    exp.Quarter: "QUARTER",
    exp.Month: "MONTH",
    exp.Week: "WEEK",
    exp.WeekOfYear: "WEEK",
    exp.Day: "DAY",
    exp.DayOfMonth: "DAY",
    exp.DayOfYear: "DOY",
    exp.DayOfWeek: "DOW",
    exp.Hour: "HOUR",
    exp.Minute: "MINUTE",
    exp.Second: "SECOND",
}
_TRUNCATED = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")
_PARTS = (*_TRUNCATED, "DOY", "DAYOFYEAR", "DOW", "DAYOFWEEK", "MILLISECOND", "EPOCH")
# sqlglot sets these to say how a function was spelt; they do not change what it means here
_FLAGS = frozenset({"safe", "ignore_nulls", "coalesce", "is_nvl", "is_null", "offset", "binary", "is_left"})


def check_scalar(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr | None:
    """The checked call of a scalar function, or None when the node is not one.

    Raises:
        RuleError: an argument is of a wrong type, missing or one too many.
    """
    plain = _PLAIN.get(type(node))
    if plain is not None:
        only(checker, node, plain.op, *(name for name, _ in plain.args))
        args = tuple(argument(checker, node, name, expected, plain.op, scope) for name, expected in plain.args)
        return _call(plain.op, args, plain.type or args[0].type, node, partial=plain.partial)
    special = _SPECIAL.get(type(node))
    return None if special is None else special(checker, node, scope)


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


def _call(op: str, args: tuple[Expr, ...], type_: SqlType, node: exp.Expr, *, partial: bool = False) -> Call:
    return Call(op, args, type_, partial or any(a.nullable for a in args), position(node))


def _abs(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    only(checker, node, "ABS", "this")
    arg = checker.check(node.this, scope)
    if arg.type.kind != "INTERVAL":
        checker.expect(arg, "numeric", node, "ABS")
    call = _call("ABS", (arg,), arg.type, node)
    return replace(call, nullable=True) if may_leave_type(call) else call


def _log(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    if node.args.get("expression") is None:
        raise checker.refuse("LOG expects a base and a number", node, "LN(x), LOG10(x) or LOG(2, x)")
    args = tuple(argument(checker, node, n, "numeric", "LOG", scope) for n in ("this", "expression"))
    return _call("LOG", args, DOUBLE, node, partial=True)


def _floor(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    op = "FLOOR" if isinstance(node, exp.Floor) else "CEIL"
    unit = node.args.get("to")
    if unit is not None:
        only(checker, node, op, "this", "to")
        return _truncated(checker, node, unit.name, scope, up=op == "CEIL")
    only(checker, node, op, "this")
    arg = argument(checker, node, "this", "numeric", op, scope)
    return _call(op, (arg,), arg.type, node, partial=True)


def _truncated(checker: ExpressionChecker, node: exp.Expr, unit: str, scope: Scope, *, up: bool = False) -> Expr:
    if unit.upper() not in _TRUNCATED:
        raise checker.refuse(
            f"expected a unit of time, got {unit}", node, nearest(unit.upper(), _TRUNCATED) or ", ".join(_TRUNCATED)
        )
    arg = argument(checker, node, "this", "TIMESTAMP", "FLOOR", scope)
    return _call(
        "TIME_CEIL" if up else "TIME_FLOOR", (Literal(unit.upper(), STRING), arg), arg.type, node, partial=True
    )


def _date_trunc(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    only(checker, node, "DATE_TRUNC", "this", "unit")
    return _truncated(checker, node, node.args["unit"].name if node.args.get("unit") is not None else "", scope)


def _round(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    op = "ROUND" if isinstance(node, exp.Round) else "TRUNCATE"
    only(checker, node, op, "this", "decimals")
    arg = argument(checker, node, "this", "numeric", op, scope)
    places: Expr = Literal(0, BIGINT)
    if node.args.get("decimals") is not None:
        places = argument(checker, node, "decimals", "integer", op, scope)
    return _call(op, (arg, places), arg.type, node, partial=True)


def _substring(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    only(checker, node, "SUBSTRING", "this", "start", "length")
    args = [argument(checker, node, "this", "STRING", "SUBSTRING", scope)]
    args.append(argument(checker, node, "start", "integer", "SUBSTRING", scope))
    if node.args.get("length") is not None:
        args.append(argument(checker, node, "length", "integer", "SUBSTRING", scope))
    return _call("SUBSTRING", tuple(args), STRING, node)


def _trim(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    only(checker, node, "TRIM", "this", "expression", "position")
    where = str(node.args.get("position") or "BOTH").upper()
    characters: Expr = Literal(" ", STRING)
    if node.args.get("expression") is not None:
        characters = argument(checker, node, "expression", "STRING", "TRIM", scope)
    op = {"LEADING": "LTRIM", "TRAILING": "RTRIM"}.get(where, "TRIM")
    return _call(op, (argument(checker, node, "this", "STRING", op, scope), characters), STRING, node)


def _replace(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    args = [argument(checker, node, n, "STRING", "REPLACE", scope) for n in ("this", "expression")]
    replacement: Expr = Literal("", STRING)
    if node.args.get("replacement") is not None:
        replacement = argument(checker, node, "replacement", "STRING", "REPLACE", scope)
    return _call("REPLACE", (*args, replacement), STRING, node, partial=True)


def _concat_ws(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    """NULL only for a NULL separator; other NULLs are left out."""
    args = tuple(checker.expect(checker.check(n, scope), "STRING", n, "CONCAT_WS") for n in node.expressions)
    if len(args) < 2:
        raise checker.refuse("CONCAT_WS expects a separator and values", node, "CONCAT_WS('-', a, b)")
    return Call("CONCAT_WS", args, STRING, args[0].nullable, position(node))


def _extract(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    part = _PART_FUNCTIONS.get(type(node)) or node.name.upper()
    if part not in _PARTS:
        raise checker.refuse(f"EXTRACT does not know {part}", node, nearest(part, _PARTS))
    name = "expression" if isinstance(node, exp.Extract) else "this"
    arg = argument(checker, node, name, "TIMESTAMP", "EXTRACT", scope)
    return _call("EXTRACT", (Literal(part, STRING), arg), BIGINT, node, partial=True)


def _date_diff(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    unit = node.args["unit"].name if node.args.get("unit") is not None else ""
    return _difference(checker, node, unit, (node.expression, node.this), scope)


def timestampdiff(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    """TIMESTAMPDIFF(unit, a, b): whole units from a to b."""
    args = node.expressions
    if len(args) != 3:
        raise checker.refuse("TIMESTAMPDIFF expects a unit and two times", node, "TIMESTAMPDIFF(SECOND, a, b)")
    return _difference(checker, node, args[0].name, (args[1], args[2]), scope)


def _difference(
    checker: ExpressionChecker, node: exp.Expr, unit: str, times: tuple[exp.Expr, exp.Expr], scope: Scope
) -> Expr:
    micros = INTERVAL_US.get(unit.upper())
    if micros is None:
        raise checker.refuse(
            f"expected a unit of fixed length, got {unit or 'none'}", node, nearest(unit.upper(), INTERVAL_US)
        )
    begin, end = (checker.expect(checker.check(t, scope), "TIMESTAMP", t, "TIMESTAMPDIFF") for t in times)
    return _call("TIME_DIFF", (Literal(micros, BIGINT), begin, end), BIGINT, node)


def _bracket(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    """array[n], the first is 1; map['key']. NULL where there is no such element."""
    base = checker.check(node.this, scope)
    if base.type.kind not in {"ARRAY", "MAP"} or len(node.expressions) != 1 or base.type.element is None:
        raise checker.refuse(f"expected an ARRAY or a MAP before [ ], got {base.type}", node)
    expected = "integer" if base.type.kind == "ARRAY" else "STRING"
    key = checker.expect(checker.check(node.expressions[0], scope), expected, node.expressions[0], f"{base.type} [ ]")
    op = "ELEMENT" if base.type.kind == "ARRAY" else "ENTRY"
    return _call(op, (base, key), base.type.element, node, partial=True)


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
            return _call("FIELD", (base, Literal(known, STRING)), type_, node, partial=True)
    raise checker.refuse(f"{base.type} has no field {name!r}", node, nearest(name, [n for n, _ in base.type.fields]))


def _contains(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    base = argument(checker, node, "this", "ARRAY", "CONTAINS", scope)
    item = checker.check(node.expression, scope)
    if base.type.element is not None:
        checker.expect_comparable(base, item, node, "CONTAINS", base.type.element)
    return _call("CONTAINS", (base, item), BOOLEAN, node, partial=True)


def _clock(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    raise checker.refuse(
        f"a rule has no clock: it must give the same alerts on every run (in {scope.place})",
        node,
        "use the event-time column, or ABSENT in a pattern for what does not happen in time",
    )


_SPECIAL: dict[type[exp.Expr], Special] = {
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
    exp.Extract: _extract,
    exp.TimestampTrunc: _date_trunc,
    exp.DateTrunc: _date_trunc,
    exp.DateDiff: _date_diff,
    exp.Bracket: _bracket,
    exp.Dot: _dot,
    exp.ArrayContains: _contains,
    exp.CurrentTimestamp: _clock,
    exp.CurrentDate: _clock,
    exp.CurrentTime: _clock,
    **dict.fromkeys(_PART_FUNCTIONS, _extract),
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
