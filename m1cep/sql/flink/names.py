"""What names mean at a place of a rule, and the types of expressions: as much as the way to Flink needs.

The rule has been compiled before: every name is known and every type fits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from m1cep.model.types import BIGINT, BOOLEAN, DOUBLE, INTERVAL, NULL, STRING, SqlType
from m1cep.sql.literals import sql_type, typed_number
from m1cep.sql.nodes import Semantics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.errors import SourceText
    from m1cep.model.stream import Stream

_OF_ARGUMENT = (
    exp.Paren,
    exp.Neg,
    exp.Sum,
    exp.Min,
    exp.Max,
    exp.First,
    exp.Last,
    exp.Filter,
    exp.Window,
    Semantics,
    exp.Abs,
    exp.Round,
    exp.Floor,
    exp.Ceil,
    exp.Nullif,
    exp.Lag,
)
_BIGINT = (exp.Count, exp.Extract, exp.Length)
_STRING = (exp.Upper, exp.Lower, exp.Trim, exp.Substring, exp.Concat, exp.DPipe)
_BOOLEAN = (exp.And, exp.Or, exp.Not, exp.Is, exp.In, exp.Like, exp.Between, exp.Predicate)


@dataclass(frozen=True)
class Names:
    """The names that an expression may use.

    Attributes:
        columns: by lower-case name: the spelling, and the type.
        tables: aliases and streams by lower-case name: their own columns, where several tables are joined.
        variables: of a row pattern, by lower-case name: the spelling in the pattern sent to Flink.
        time: lower-case name of the event-time column, where it is one.
        row_time: the physical column of event time that is never NULL, as spelt.
        bounds: window_start and window_end, where there are windows.
        own: in a variable's DEFINE, that variable as spelt.
        before: in a variable's DEFINE, how many rows of the match surely precede its own.
    """

    columns: Mapping[str, tuple[str, SqlType]]
    time: str = ""
    row_time: str = ""
    tables: Mapping[str, Names] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    bounds: frozenset[str] = frozenset()
    own: str = ""
    before: int = 0

    def column(self, node: exp.Expr) -> tuple[str, SqlType]:
        """Spelling and type of a column."""
        table = node.args["table"].name.lower() if node.args.get("table") else ""
        here = self.tables.get(table, self)
        found = here.columns.get(node.name.lower())
        if found is None:  # without a table, of any of them
            found = next(
                (t.columns[node.name.lower()] for t in self.tables.values() if node.name.lower() in t.columns), None
            )
        return found or (node.name, NULL)

    def is_time(self, node: exp.Expr | None) -> bool:
        """Whether a node is the event-time column."""
        if not isinstance(node, exp.Column):
            return False
        table = node.args["table"].name.lower() if node.args.get("table") else ""
        if table or not self.tables:
            return node.name.lower() == (self.tables.get(table, self)).time
        return any(node.name.lower() == t.time for t in self.tables.values())

    def with_columns(self, more: Mapping[str, tuple[str, SqlType]]) -> Names:
        """These names and some more."""
        return replace(self, columns={**self.columns, **more})


def stream_names(stream: Stream) -> Names:
    """The columns of a stream."""
    time = stream.by_name[stream.time_column.lower()].name
    return Names({n: (c.name, c.type) for n, c in stream.by_name.items()}, time=time.lower(), row_time=time)


@dataclass(frozen=True)
class Typer:
    """Types of expressions of one rule."""

    source: SourceText
    params: Mapping[str, tuple[Any, SqlType]]

    def of(self, node: exp.Expr | None, names: Names) -> SqlType:
        """The type of an expression as M1CEP computes it; NULL where it does not matter here."""
        match node:
            case exp.Column():
                return names.column(node)[1]
            case exp.Literal():
                return STRING if node.is_string else typed_number(node.this)[1]
            case exp.Interval():
                return INTERVAL
            case exp.Placeholder():
                return self.params[str(node.this)][1]
            case exp.Cast():
                return sql_type(node.args["to"], self.source)
            case exp.Add() | exp.Sub() | exp.Mul() | exp.Div() | exp.Mod():
                return _arithmetic(self.of(node.this, names), self.of(node.expression, names))
            case exp.Avg():
                inner = self.of(node.this, names)
                return inner if inner.kind == "DECIMAL" else DOUBLE
            case exp.Case() | exp.If() | exp.Coalesce() | exp.Greatest() | exp.Least():
                return self._first(_results(node), names)
        if isinstance(node, _OF_ARGUMENT):
            return self.of(node.this, names)
        if isinstance(node, exp.Anonymous) and node.expressions:
            return self.of(node.expressions[0], names)
        for kinds, type_ in ((_BIGINT, BIGINT), (_STRING, STRING), (_BOOLEAN, BOOLEAN)):
            if isinstance(node, kinds):
                return type_
        return DOUBLE if isinstance(node, exp.Func) else NULL

    def _first(self, nodes: list[exp.Expr | None], names: Names) -> SqlType:
        found = [t for t in (self.of(n, names) for n in nodes) if t.kind != "NULL"]
        return next((t for t in found if t.kind == "DOUBLE"), found[0] if found else NULL)


def _results(node: exp.Expr) -> list[exp.Expr | None]:
    """What a choice chooses from."""
    if isinstance(node, exp.Case):
        return [*(i.args["true"] for i in node.args["ifs"]), node.args.get("default")]
    if isinstance(node, exp.If):
        return [node.args["true"], node.args.get("false")]
    return [node.this, *node.expressions]


def _arithmetic(a: SqlType, b: SqlType) -> SqlType:
    kinds = (a.kind, b.kind)
    if "TIMESTAMP" in kinds:
        return INTERVAL if kinds == ("TIMESTAMP", "TIMESTAMP") else (a if a.kind == "TIMESTAMP" else b)
    for kind in ("INTERVAL", "DOUBLE", "DECIMAL", "BIGINT", "INT"):
        if kind in kinds:
            return a if a.kind == kind else b
    return NULL
