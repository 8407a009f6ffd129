"""Checked expressions back to SQL, and values as a person reads them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from m1cep.model.time import INTERVAL_US, to_rfc3339
from m1cep.plan.ir import Agg, Call, Col, Expr, Label, Literal, MatchNumber, Nav, Param, Prev
from m1cep.plan.join import SideCol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from m1cep.model.types import SqlType

SIGNS = {"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
_INFIX = {"ADD": "+", "SUB": "-", "MUL": "*", "DIV": "/", "MOD": "%", "CONCAT": "||"}
_OR, _AND, _NOT, _COMPARE, _ADD, _MUL, _ATOM = range(7)  # how tightly an operator binds
_LEVEL = {"ADD": _ADD, "SUB": _ADD, "CONCAT": _ADD, "MUL": _MUL, "DIV": _MUL, "MOD": _MUL, "NEG": _MUL}
_LEVEL |= {"OR": _OR, "AND": _AND, "NOT": _NOT, "IN": _COMPARE, "LIKE": _COMPARE, "DISTINCT": _COMPARE}
_LEVEL |= {"IS_NULL": _COMPARE, "IS_TRUE": _COMPARE, "IS_FALSE": _COMPARE, **dict.fromkeys(SIGNS, _COMPARE)}
_LONGEST = 120  # characters of a value


class Wording:
    """Writes expressions of one rule.

    Args:
        text: of the rule; tells how its author calls the sides of a join.
        variable: the pattern variable whose condition is written, if it is one: its columns are written with it.
        names: what expressions are called: aggregates and measures that the SELECT list gives a name.
        plain: what those are called that have no name of their own.
    """

    def __init__(
        self,
        text: str,
        variable: str | None = None,
        names: Mapping[Expr, str] | None = None,
        plain: Mapping[Expr, str] | None = None,
    ) -> None:
        self._plain = plain or {}
        self._text = text
        self._variable = variable
        self._names = {**self._plain, **(names or {})}

    def sql(self, e: Expr) -> str:
        """The expression as SQL; equal in meaning to what was written, not always letter by letter."""
        return self._write(e, _OR)

    def without_names(self) -> Wording:
        """As where the SELECT list's names cannot be used."""
        return Wording(self._text, self._variable, plain=self._plain)

    def has_name(self, e: Expr) -> bool:
        """Whether the rule gives the expression a name."""
        return e in self._names

    def _write(self, e: Expr, level: int) -> str:
        """In brackets where it binds less tightly than ``level``."""
        if e in self._names:
            return self._names[e]
        if not isinstance(e, Call):
            return self._leaf(e)
        own = _LEVEL.get(e.op, _ATOM)
        text = self._call(e, own)
        return f"({text})" if own < level else text

    def _leaf(self, e: Expr) -> str:
        match e:
            case SideCol():
                written = re.match(rf'"?(\w+)"?\s*\.\s*"?{re.escape(e.name)}\b', self._text[e.pos :], re.IGNORECASE)
                return f"{written[1] if written else 'ab'[e.side]}.{e.name}"
            case Col():
                return f"{self._variable}.{e.name}" if self._variable else e.name
            case Literal():
                return literal(e.value, e.type)
            case Param():
                return f":{e.name}"
            case Nav():
                return self._navigation(e)
            case Prev(expr=inner, offset=offset):
                name = "PREV" if offset >= 0 else "NEXT"
                return f"{name}({self.sql(inner)}{'' if abs(offset) == 1 else f', {abs(offset)}'})"
            case Agg():
                return self._aggregate(e)
            case Label():
                return "CLASSIFIER()"
            case MatchNumber():
                return "MATCH_NUMBER()"
        raise AssertionError(e)

    def _navigation(self, e: Nav) -> str:
        inner = Wording(self._text, e.variable, self._names).sql(e.expr)
        if e.which == "LAST" and not e.offset and isinstance(e.expr, Col) and e.variable:
            return inner
        return f"{e.which}({inner}{f', {e.offset}' if e.offset else ''})"

    def _aggregate(self, e: Agg) -> str:
        inside = Wording(self._text, e.variable, self._names)
        argument = inside.sql(e.expr) if e.expr is not None else f"{e.variable}.*" if e.variable else "*"
        text = f"{e.func}({'DISTINCT ' if e.distinct else ''}{argument})"
        return text if e.where is None else f"{text} FILTER (WHERE {inside.sql(e.where)})"

    def _call(self, e: Call, own: int) -> str:
        op, args = e.op, e.args
        if op in SIGNS:
            return f"{self._write(args[0], _ADD)} {SIGNS[op]} {self._write(args[1], _ADD)}"
        if op in {"AND", "OR"}:
            return f" {op} ".join(self._write(a, own + 1) for a in args)
        if op in _INFIX:
            first, *rest = args
            return f" {_INFIX[op]} ".join([self._write(first, own), *(self._write(a, own + 1) for a in rest)])
        if op == "NOT":
            return self._not(args[0])
        if op == "CAST":
            return f"CAST({self.sql(args[0])} AS {e.type})"
        special = getattr(self, f"_call_{op.lower()}", None)
        if special is not None:
            found: str = special(args)
            return found
        return f"{op}({', '.join(self.sql(a) for a in args)})"

    def _not(self, e: Expr) -> str:
        if isinstance(e, Call):
            inner = self._call(e, _COMPARE)
            for plain, denied in ((" IS ", " IS NOT "), (" IN (", " NOT IN ("), (" LIKE ", " NOT LIKE ")):
                if e.op in {"IS_NULL", "IS_TRUE", "IS_FALSE", "DISTINCT", "IN", "LIKE"} and plain in inner:
                    return inner.replace(plain, denied, 1)
        return f"NOT {self._write(e, _ADD if isinstance(e, Call) and e.op in SIGNS else _COMPARE)}"

    # one method for each operator that is not written as a function

    def _call_neg(self, args: Sequence[Expr]) -> str:
        return f"-{self._write(args[0], _ATOM)}"

    def _call_is_null(self, args: Sequence[Expr]) -> str:
        return f"{self._write(args[0], _ADD)} IS NULL"

    def _call_is_true(self, args: Sequence[Expr]) -> str:
        return f"{self._write(args[0], _ADD)} IS TRUE"

    def _call_is_false(self, args: Sequence[Expr]) -> str:
        return f"{self._write(args[0], _ADD)} IS FALSE"

    def _call_distinct(self, args: Sequence[Expr]) -> str:
        return f"{self._write(args[0], _ADD)} IS DISTINCT FROM {self._write(args[1], _ADD)}"

    def _call_in(self, args: Sequence[Expr]) -> str:
        return f"{self._write(args[0], _ADD)} IN ({', '.join(self.sql(a) for a in args[1:])})"

    def _call_like(self, args: Sequence[Expr]) -> str:
        return f"{self._write(args[0], _ADD)} LIKE {self.sql(args[1])}"

    def _call_in_list(self, args: Sequence[Expr]) -> str:
        return f"IN_LIST({self.sql(args[0])}, {self.sql(args[1])})"

    def _call_case(self, args: Sequence[Expr]) -> str:
        *branches, default = args
        conditions, results = branches[::2], branches[1::2]
        compared = [c.args[0] for c in conditions if isinstance(c, Call) and c.op == "EQ"]
        head = "CASE"
        if len(compared) == len(conditions) and len(set(compared)) == 1:  # CASE x WHEN value
            head = f"CASE {self._write(compared[0], _ADD)}"
            conditions = [c.args[1] for c in conditions if isinstance(c, Call)]
        whens = "".join(f" WHEN {self.sql(c)} THEN {self.sql(r)}" for c, r in zip(conditions, results, strict=True))
        otherwise = "" if isinstance(default, Literal) and default.value is None else f" ELSE {self.sql(default)}"
        return f"{head}{whens}{otherwise} END"

    def _call_extract(self, args: Sequence[Expr]) -> str:
        return f"EXTRACT({_bare(args[0])} FROM {self.sql(args[1])})"

    def _call_time_floor(self, args: Sequence[Expr]) -> str:
        return f"FLOOR({self.sql(args[1])} TO {_bare(args[0])})"

    def _call_time_ceil(self, args: Sequence[Expr]) -> str:
        return f"CEIL({self.sql(args[1])} TO {_bare(args[0])})"

    def _call_time_diff(self, args: Sequence[Expr]) -> str:
        unit = next((u for u, micros in INTERVAL_US.items() if _bare(args[0]) == str(micros)), "MICROSECOND")
        return f"TIMESTAMPDIFF({unit}, {self.sql(args[1])}, {self.sql(args[2])})"

    def _call_trim(self, args: Sequence[Expr]) -> str:
        return f"TRIM({'' if _bare(args[1]) == ' ' else f'{self.sql(args[1])} FROM '}{self.sql(args[0])})"

    def _call_field(self, args: Sequence[Expr]) -> str:
        return f"{self._write(args[0], _ATOM)}.{_bare(args[1])}"

    def _call_entry(self, args: Sequence[Expr]) -> str:
        return f"{self._write(args[0], _ATOM)}[{self.sql(args[1])}]"

    _call_element = _call_entry

    def _call_measure(self, args: Sequence[Expr]) -> str:
        return self._write(args[0], _ATOM)


def _bare(e: Expr) -> str:
    return str(e.value) if isinstance(e, Literal) else "?"


def literal(value: Any, type_: SqlType) -> str:
    """A constant as it is written in SQL."""
    if value is None:
        return "NULL"
    if type_.kind == "INTERVAL":
        unit = next((u for u in ("DAY", "HOUR", "MINUTE", "SECOND") if value % INTERVAL_US[u] == 0), "SECOND")
        return f"INTERVAL '{value / INTERVAL_US[unit]:g}' {unit}"
    if type_.kind == "TIMESTAMP":
        return f"TIMESTAMP '{to_rfc3339(value, type_.time_unit)}'"
    return shown(value, type_)


def shown(value: Any, type_: SqlType) -> str:
    """A value as a person reads it."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            return "'" + clipped(value).replace("'", "''") + "'"
        case int() if type_.kind == "TIMESTAMP":
            return moment(value, type_.time_unit)
        case int() if type_.kind == "INTERVAL":
            return duration(value, "us")
        case int() | float() | Decimal():
            return str(value)
    return clipped(str(value))


def clipped(text: str) -> str:
    """A text that may be long."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def moment(time: int, unit: str) -> str:
    """An event time; beyond what a calendar has, the number."""
    try:
        return to_rfc3339(time, unit)
    except OverflowError:
        return f"{time} {unit}"


def duration(span: int, unit: str) -> str:
    """A span of event time in ``unit``, exact.

    >>> duration(90_000, "ms"), duration(1_250, "ms"), duration(1_799_999, "ms"), duration(7, "us")
    ('1 min 30 s', '1.25 s', '29 min 59.999 s', '7 us')
    """
    micros = abs(span) if unit == "us" else abs(span) * 1000
    sign = "-" if span < 0 else ""
    if micros < 1000:
        return f"{sign}{micros} us" if micros else "0 s"
    if micros < 1_000_000:
        return f"{sign}{_plain(micros, 1000)} ms"
    parts = []
    for name, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000)):
        if micros >= size:
            parts.append(f"{micros // size} {name}")
            micros %= size
    if micros:
        parts.append(f"{_plain(micros, 1_000_000)} s")
    return sign + " ".join(parts)


def _plain(value: int, size: int) -> str:
    return f"{Decimal(value) / size:f}"
