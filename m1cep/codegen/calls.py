"""The operators and functions of SQL as Python source, one by one. :class:`m1cep.codegen.expr.ExprWriter` puts them together."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from m1cep.codegen.common import identifier
from m1cep.codegen.patterns import like_regex
from m1cep.model.types import DOUBLE, US_PER_UNIT, SqlType
from m1cep.plan.ir import Call, Expr, Literal
from m1cep.runtime.addresses import is_listed
from m1cep.runtime.lookups import Binding

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.codegen.expr import ExprWriter

_INFIX = {"ADD": "+", "SUB": "-", "MUL": "*"}


def guarded(guards: list[str], source: str) -> str:
    """The source where all guards hold, else None."""
    return f"({source} if {' and '.join(guards)} else None)" if guards else source


# operators that do not simply take operands that are not NULL


def _is_null(writer: ExprWriter, e: Call) -> str:
    return f"({writer.value(e.args[0])} is None)" if e.args[0].nullable else "False"


def _is_true(writer: ExprWriter, e: Call) -> str:
    return f"bool({writer.truth(e.args[0])})"


def _is_false(writer: ExprWriter, e: Call) -> str:
    return f"bool({writer.falsity(e.args[0])})"


def _distinct(writer: ExprWriter, e: Call) -> str:
    values = [writer.value(a) for a in e.args]
    if not writer.mixed(e.args):
        return f"({values[0]} != {values[1]})"
    guards, (left, right) = writer.operands(e.args)
    nulls = f"({values[0]} is None) != ({values[1]} is None)"
    return f"({left} != {right} if {' and '.join(guards)} else {nulls})" if guards else f"({left} != {right})"


def _case(writer: ExprWriter, e: Call) -> str:
    *branches, default = e.args
    parts = [
        f"{_as(writer, result, e.type)} if {writer.truth(condition)} else "
        for condition, result in zip(branches[::2], branches[1::2], strict=True)
    ]
    return "(" + "".join(parts) + _as(writer, default, e.type) + ")"


def _coalesce(writer: ExprWriter, e: Call) -> str:
    source = _as(writer, e.args[-1], e.type)
    for arg in reversed(e.args[:-1]):
        temp = writer.temp()
        source = f"({temp} if ({temp} := {_as(writer, arg, e.type)}) is not None else {source})"
    return source


def _nullif(writer: ExprWriter, e: Call) -> str:
    return f"(None if {writer.comparison('EQ', e.args)} else {writer.value(e.args[0])})"


def _greatest(writer: ExprWriter, e: Call) -> str:
    guards, sources = writer.operands(e.args)
    converted = (_converted(writer, a, s, e.type) for a, s in zip(e.args, sources, strict=True))
    body = f"{'max' if e.op == 'GREATEST' else 'min'}({', '.join([*converted])})"
    body = body if len(sources) > 1 else sources[0]
    return guarded(guards, body)


def _concat_ws(writer: ExprWriter, e: Call) -> str:
    separator, *parts = e.args
    guards, (source,) = writer.operands((separator,))
    body = f"concat_ws({source}, ({''.join(writer.value(p) + ', ' for p in parts)}))"
    return guarded(guards, body)


def _param(writer: ExprWriter, e: Call) -> str:
    """The value for all keys is a name; those by key are in a mapping."""
    name, *key = e.args
    assert isinstance(name, Literal)
    own = f"param_{identifier(name.value)}" + ("" if e.type == DOUBLE else f"_{identifier(str(e.type).lower())}")
    if not key:
        return writer.bind(own, Binding("param", name.value, e.type))
    guards, (source,) = writer.operands((key[0],))
    text = source if key[0].type.kind == "STRING" else f"str({source})"
    by_key = writer.bind(f"{own}_by_key", Binding("by_key", name.value, e.type))
    rest = writer.bind(f"{own}_rest", Binding("rest", name.value, e.type))
    body = f"{by_key}.get({text}, {rest})"
    return guarded(guards, body)


def _as(writer: ExprWriter, arg: Expr, type_: SqlType) -> str:
    """The value as one of ``type_``: what CASE and COALESCE give is of one type."""
    if arg.type == type_ or not (type_.kind in {"DOUBLE", "DECIMAL"} and arg.type.is_numeric):
        return writer.value(arg)
    if isinstance(arg, Literal) or not arg.nullable:
        return _converted(writer, arg, writer.value(arg), type_)
    return f"to_{type_.kind.lower()}({writer.value(arg)})"


def _converted(writer: ExprWriter, arg: Expr, source: str, type_: SqlType) -> str:
    """A number that is not NULL as one of ``type_``."""
    if arg.type.kind == type_.kind or type_.kind not in {"DOUBLE", "DECIMAL"} or not arg.type.is_numeric:
        return source
    if isinstance(arg, Literal) and arg.value is not None:
        return writer.literal(float(arg.value) if type_.kind == "DOUBLE" else Decimal(arg.value))
    return f"to_{type_.kind.lower()}({source})"


def membership(writer: ExprWriter, e: Call, *, wanted: bool) -> tuple[list[str], str]:
    """Guards and source of LIKE, IN and IN_LIST being ``wanted``: their falsity is their negation once no operand is NULL."""
    if e.op == "IN_LIST":
        return _listed(writer, e, wanted=wanted)
    guards, body = _member(writer, e)
    return guards, body if wanted else f"not {body}"


def _member(writer: ExprWriter, e: Call) -> tuple[list[str], str]:
    if e.op == "LIKE":
        _, pattern, escape = e.args
        assert isinstance(pattern, Literal)
        assert isinstance(escape, Literal)
        guards, (source,) = writer.operands(e.args[:1])
        matches = writer.constant(like_regex(pattern.value, escape.value).fullmatch)
        return guards, f"({matches}({source}) is not None)"
    guards, (source,) = writer.operands(e.args[:1])
    double = e.args[0].type.kind == "DOUBLE"
    items = [a.value for a in e.args[1:] if isinstance(a, Literal)]
    return guards, f"({source} in {writer.constant(frozenset(float(i) if double else i for i in items))})"


def _listed(writer: ExprWriter, e: Call, *, wanted: bool) -> tuple[list[str], str]:
    """A rule that fails closed asks another set whether something is not listed: without the list, both questions hold.

    One look, in small letters where the list has addresses whose letters' case means nothing; only what it finds is looked at
    more closely. A long list is not in the processor's nearer caches: a second look would cost as much again.
    """
    name, item, on_missing = e.args
    assert isinstance(name, Literal)
    assert isinstance(on_missing, Literal)
    if wanted or on_missing.value != "fail_closed":
        entries = writer.bind(f"list_{identifier(name.value)}", Binding("list", name.value))
    else:
        entries = writer.bind(f"cleared_{identifier(name.value)}", Binding("cleared", name.value))
    guards, (source,) = writer.operands((item,))
    text = source if item.type.kind == "STRING" else f"str({source})"
    there = [f"{entries} is not None"] if on_missing.value == "unknown" else []
    caseless = writer.bind(f"caseless_{identifier(name.value)}", Binding("caseless", name.value))
    folded = writer.bind(f"folded_{identifier(name.value)}", Binding("folded", name.value))
    look = f"({text}.lower() if {caseless} else {text}) in {folded}"
    body = f"({look} and {writer.constant(is_listed)}({text}, {entries}))"
    return there + guards, body if wanted else f"not {body}"


def body(e: Call, s: list[str]) -> str:
    """An operator on operands that are not NULL."""
    args, kinds = e.args, [a.type.kind for a in e.args]
    match e.op:
        case "SUB" | "NEG" | "ABS":  # those that cannot leave their type
            return infix(e, s)
        case "DIV":
            whole = kinds[0] == "INTERVAL" or all(a.type.is_integer for a in args)
            return f"{'div_int' if whole else 'div_decimal' if e.type.kind == 'DECIMAL' else 'div'}({s[0]}, {s[1]})"
        case "CONCAT":
            return "(" + " + ".join(s) + ")"
        case "CAST":
            units = f"{args[0].type.time_unit!r}, {e.type.time_unit!r}"
            return f"cast({s[0]}, {kinds[0]!r}, {e.type.kind!r}, {units}, {e.type.precision!r}, {e.type.scale!r})"
        case "EXTRACT" | "TIME_FLOOR" | "TIME_CEIL":
            return f"{e.op.lower()}({s[0]}, {s[1]}, {args[1].type.time_unit!r})"
        case "TIME_DIFF":
            both_ms = all(a.type.time_unit == "ms" for a in args[1:])  # else unify has made them microseconds
            return f"div_int(({s[2]} - {s[1]}){' * 1000' if both_ms else ''}, {s[0]})"
        case "FIELD" | "ENTRY":
            return f"{s[0]}.get({s[1]})"
    return f"{e.op.lower()}({', '.join(s)})"


def infix(e: Call, s: list[str]) -> str:
    """+ - * and the signs."""
    if e.op in {"NEG", "ABS"}:
        exact = e.type.kind == "DECIMAL"
        name = {"NEG": "decimal_neg" if exact else "-", "ABS": "decimal_abs" if exact else "abs"}[e.op]
        return f"(-{s[0]})" if name == "-" else f"{name}({s[0]})"
    (a, b), sign = e.args, _INFIX[e.op]
    kinds = (a.type.kind, b.type.kind)
    if kinds == ("TIMESTAMP", "TIMESTAMP"):  # an INTERVAL in microseconds
        if a.type.time_unit == b.type.time_unit == "ms":
            return f"(({s[0]} - {s[1]}) * 1000)"
        return f"({s[0]} - {s[1]})"
    if "TIMESTAMP" in kinds and "INTERVAL" in kinds:
        per_unit = US_PER_UNIT[e.type.time_unit]
        left, right = (
            f"{x} // {per_unit}" if k == "INTERVAL" and per_unit > 1 else x for x, k in zip(s, kinds, strict=True)
        )
        return f"({left} {sign} {right})"
    if e.type.kind == "DECIMAL":
        return f"decimal_{e.op.lower()}({s[0]}, {s[1]})"
    if (
        isinstance(a, Call)
        and (a.op in {"ADD", "SUB"}) == (e.op in {"ADD", "SUB"})
        and a.op in _INFIX
        and s[0][0] == "("
    ):
        s[0] = s[0][1:-1] if bounds(a.type) == bounds(e.type) else s[0]
    return f"({s[0]} {sign} {s[1]})"


def bounds(type_: SqlType) -> tuple[str, str]:
    """Names of the least and the greatest value of a type, for results of arithmetic."""
    suffix = {"DOUBLE": "DOUBLE", "DECIMAL": "DECIMAL", "INT": "INT"}.get(type_.kind, "BIGINT")
    if type_.kind == "TIMESTAMP":
        suffix = f"TIME_{type_.time_unit.upper()}"
    return f"MIN_{suffix}", f"MAX_{suffix}"


SPECIAL: dict[str, Callable[[ExprWriter, Call], str]] = {
    "IS_NULL": _is_null,
    "IS_TRUE": _is_true,
    "IS_FALSE": _is_false,
    "DISTINCT": _distinct,
    "CASE": _case,
    "COALESCE": _coalesce,
    "NULLIF": _nullif,
    "GREATEST": _greatest,
    "LEAST": _greatest,
    "CONCAT_WS": _concat_ws,
    "PARAM": _param,
}
