"""Conditions as questions: which values to ask for, and what to say of the answers.

The values come from generated code, so they are those with which the rule computes. A condition asks for its own truth, for the
sides of its comparisons, and for whatever it names (columns, variables, aggregates, parameters).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from m1cep.plan.ir import Agg, Call, Col, Expr, Label, Literal, MatchNumber, Nav, Param, Prev, children, conjuncts
from m1cep.plan.plans import Output
from m1cep.whynot.report import Finding
from m1cep.whynot.wording import SIGNS, clipped, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from m1cep.errors import SourceText
    from m1cep.model.types import SqlType
    from m1cep.whynot.wording import Wording

_ONE_SIDED = {"IN", "LIKE"}
_TAKES_NULL = {"COALESCE", "CASE", "IS_NULL", "IS_TRUE", "IS_FALSE", "DISTINCT", "AND", "OR", "CONCAT_WS"}


@dataclass(frozen=True, slots=True)
class Part:
    """A value that a condition names, and where in the answers it stands; ``vital``: where it is NULL, what it is in is NULL."""

    sql: str
    index: int
    type: SqlType
    vital: bool = True


@dataclass(frozen=True, slots=True)
class Question:
    """A condition: ``sides`` of a comparison, ``named`` values, ``parts`` of AND, OR, NOT. ``index``: of its truth.

    ``sql`` uses the names of the SELECT list, ``written`` does not.
    """

    expr: Expr
    sql: str
    written: str
    index: int
    sides: tuple[Part, ...]
    named: tuple[Part, ...]
    parts: tuple[Question, ...]

    def score(self, values: Sequence[Any]) -> float:
        """How far from true: 0 true; of a comparison of numbers how far they are apart, below 1; unknown is furthest."""
        truth = values[self.index]
        if truth is True:
            return 0.0
        if truth is None:
            return 2.0
        if self.parts and isinstance(self.expr, Call) and self.expr.op != "NOT":
            scores = [p.score(values) for p in self.parts]
            return min(scores) if self.expr.op == "OR" else sum(scores)
        numbers = [values[s.index] for s in self.sides if s.type.is_numeric or s.type.kind in {"INTERVAL", "TIMESTAMP"}]
        if len(numbers) < 2 or _op(self.expr) == "EQ":
            return 1.0
        left, right = map(float, numbers)
        largest = max(abs(left), abs(right))
        return min(abs(left - right) / largest, 1.0) if largest else 0.0


def failing(questions: Iterable[Question], values: Sequence[Any]) -> int:
    """How many conditions are not true."""
    return sum(values[q.index] is not True for q in questions)


class Questions:
    """Collects the expressions whose values are wanted; each once."""

    def __init__(self, wording: Wording) -> None:
        self.wording = wording
        self.exprs: list[Expr] = []
        self._index: dict[Expr, int] = {}

    def ask(self, condition: Expr) -> tuple[Question, ...]:
        """The questions of a condition's conjuncts."""
        return tuple(self._question(part) for part in conjuncts(condition))

    def value(self, expr: Expr) -> int:
        """Where in the answers the value of an expression will stand."""
        found = self._index.get(expr)
        if found is None:
            found = self._index[expr] = len(self.exprs)
            self.exprs.append(expr)
        return found

    def outputs(self) -> tuple[Output, ...]:
        """As a SELECT list."""
        return tuple(Output(str(i), e) for i, e in enumerate(self.exprs))

    def _question(self, e: Expr) -> Question:
        op = _op(e)
        args = e.args if isinstance(e, Call) else ()
        parts = tuple(self._question(a) for a in args) if op in {"AND", "OR", "NOT"} else ()
        compared = args if op in SIGNS or op == "DISTINCT" else args[:1] if op in _ONE_SIDED | {"IS_NULL"} else ()
        if op == "IN_LIST":
            compared = args[1:2]
        sides = tuple(self._part(a) for a in compared)
        named = tuple(self._part(leaf, vital=vital) for leaf, vital in dict(_named(e, self.wording)).items())
        written = self.wording.without_names().sql(e)
        return Question(e, self.wording.sql(e), written, self.value(e), sides, named, parts)

    def _part(self, e: Expr, *, vital: bool = True) -> Part:
        return Part(self.wording.sql(e), self.value(e), e.type, vital)


def _op(e: Expr) -> str:
    return e.op if isinstance(e, Call) else ""


def _named(e: Expr, wording: Wording, *, vital: bool = True) -> Iterable[tuple[Expr, bool]]:
    """What a person would call by name in an expression, and whether it may not be NULL."""
    if isinstance(e, Col | Nav | Agg | Param | Prev | Label | MatchNumber) or wording.has_name(e):
        yield e, vital
        return
    for child in children(e):
        yield from _named(child, wording, vital=vital and _op(e) not in _TAKES_NULL)


class Answers:
    """Says what questions came to.

    Args:
        source: the rule's text.
    """

    def __init__(self, source: SourceText) -> None:
        self._source = source

    def findings(self, questions: Iterable[Question], values: Sequence[Any]) -> tuple[Finding, ...]:
        """One for each question."""
        return tuple(self.finding(q, values) for q in questions)

    def finding(self, q: Question, values: Sequence[Any]) -> Finding:
        """The condition with its place, its truth and its values."""
        pos = q.expr.pos
        line, column = self._source.position(pos)
        return Finding(
            sql=q.sql,
            line=line,
            column=column,
            excerpt=self._source.excerpt(
                pos, max(_written_length(self._source.text, pos, sql) for sql in (q.sql, q.written))
            ),
            holds=values[q.index],
            why=_why(q, values),
            values={p.sql: values[p.index] for p in q.named},
        )


def _written_length(text: str, pos: int, sql: str) -> int:
    """Characters from ``pos`` that say the same as ``sql``, spaces aside; where they do not, those of its first word."""
    at = pos
    for c in sql:
        if c.isspace():
            continue
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text) or text[at].lower() != c.lower():
            break
        at += 1
    if at - pos >= len(sql.split(maxsplit=1)[0]):
        return len(text[pos:at].rstrip())
    end = pos
    while end < len(text) and (text[end].isalnum() or text[end] in "_.:"):
        end += 1
    return max(1, end - pos)


def _why(q: Question, values: Sequence[Any]) -> str:
    """``40.0 >= 45.0 is false``, with the values that it was computed from where they are not these."""
    truth = values[q.index]
    if truth is None:
        return _unknown(q, values)
    word = "true" if truth else "false"
    op = _op(q.expr)
    if op == "OR" and not truth:
        return "none is true: " + "; ".join(_why(p, values) for p in q.parts)
    if op == "OR":
        return next(_why(p, values) for p in q.parts if values[p.index] is True)
    if op == "AND":
        wanted = [p for p in q.parts if values[p.index] is truth]
        return "; ".join(_why(p, values) for p in wanted)
    if op == "NOT":
        return _why(q.parts[0], values)
    sides = [shown(values[s.index], s.type) for s in q.sides]
    if op in SIGNS:
        said = f"{sides[0]} {SIGNS[op]} {sides[1]} is {word}"
    elif op == "IN_LIST":
        said = f"{sides[0]} is {'' if truth else 'not '}in the list"
    elif op in {"IN", "LIKE"}:
        assert isinstance(q.expr, Call)
        rest = [shown(a.value, a.type) for a in q.expr.args[1:] if isinstance(a, Literal)]
        said = f"{sides[0]} {op} {clipped('(' + ', '.join(rest) + ')') if op == 'IN' else rest[0]} is {word}"
    elif op == "IS_NULL":
        said = f"{q.sides[0].sql} is {sides[0]}"
    else:
        said = f"it is {word}"
    return said + _with(q, values)


def _with(q: Question, values: Sequence[Any]) -> str:
    """The named values, but those that are a side themselves."""
    sides = {s.sql for s in q.sides}
    rest = [f"{p.sql} = {shown(values[p.index], p.type)}" for p in q.named if p.sql not in sides]
    return f", with {', '.join(rest)}" if rest else ""


def _unknown(q: Question, values: Sequence[Any]) -> str:
    unknown = [p for p in q.named if values[p.index] is None]
    missing = [p.sql for p in unknown if p.vital] or [p.sql for p in unknown]
    if not missing:
        missing = [s.sql for s in q.sides if values[s.index] is None]
    if not missing:
        return "unknown" + _with(q, values)
    return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} NULL, so the condition is unknown"
