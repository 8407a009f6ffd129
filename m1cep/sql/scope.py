"""What a name means at its place in a statement: a column of the row at hand, of another variable's row, or an output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from m1cep.errors import RuleError, nearest
from m1cep.plan.ir import Col, Expr, Nav

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.errors import SourceText
    from m1cep.model.stream import Stream


class Scope(Protocol):
    """Resolves names; ``place`` says in messages where we are ("WHERE", "DEFINE of B")."""

    source: SourceText
    place: str

    def column(self, qualifier: str | None, name: str, pos: int) -> Expr:
        """The expression that a name stands for.

        Raises:
            RuleError: there is no such name here.
        """


def stream_column(stream: Stream, name: str, pos: int, source: SourceText) -> Col:
    """A column of the stream's rows."""
    found = stream.by_name.get(name.lower())
    if found is None:
        raise RuleError(
            f"stream {stream.name!r} has no column {name!r}",
            source,
            pos,
            length=len(name),
            hint=nearest(name, [c.name for c in stream.columns]),
        )
    return Col(found.name, found.attr, found.type, found.nullable, pos)


@dataclass
class RowScope:
    """Columns of one row of a stream: WHERE, SELECT of a filter, arguments of aggregates in OVER."""

    source: SourceText
    place: str
    stream: Stream
    aliases: frozenset[str] = frozenset()

    def column(self, qualifier: str | None, name: str, pos: int) -> Expr:
        if qualifier is not None and qualifier.lower() not in {self.stream.name.lower(), *self.aliases}:
            raise RuleError(
                f"unknown table {qualifier!r} in {self.place}",
                self.source,
                pos,
                length=len(qualifier),
                hint=nearest(qualifier, [self.stream.name, *self.aliases]),
            )
        return stream_column(self.stream, name, pos, self.source)


@dataclass
class VariableScope:
    """Inside FIRST, LAST, PREV or an aggregate: columns of one variable's rows. Notes which variable it was."""

    source: SourceText
    place: str
    stream: Stream
    variables: Mapping[str, str]  # lower case -> as written
    seen: str | None = None
    used: bool = False

    def column(self, qualifier: str | None, name: str, pos: int) -> Expr:
        self.note(qualifier, pos)
        return stream_column(self.stream, name, pos, self.source)

    def note(self, qualifier: str | None, pos: int) -> None:
        """Remember the variable; all columns of one argument must be of the same."""
        variable = None if qualifier is None else known_variable(qualifier, self.variables, pos, self)
        if self.used and variable != self.seen:
            seen, now = self.seen or "all rows", variable or "all rows"
            raise RuleError(
                f"expected columns of one variable in this argument, got those of {seen} and {now}",
                self.source,
                pos,
                hint="qualify every column with the same variable: SUM(A.price * A.qty)",
            )
        self.seen, self.used = variable, True


def known_variable(name: str, variables: Mapping[str, str], pos: int, scope: Scope) -> str:
    """The variable as the pattern spells it."""
    found = variables.get(name.lower())
    if found is None:
        raise RuleError(
            f"{name!r} is not a variable of the PATTERN (in {scope.place})",
            scope.source,
            pos,
            length=len(name),
            hint=nearest(name, variables.values()),
        )
    return found


@dataclass
class DefineScope:
    """The condition of one variable: its own columns are the row at hand, others the last row mapped so far."""

    source: SourceText
    place: str
    stream: Stream
    variables: Mapping[str, str]
    own: str

    def column(self, qualifier: str | None, name: str, pos: int) -> Expr:
        column = stream_column(self.stream, name, pos, self.source)
        if qualifier is None:
            return column
        variable = known_variable(qualifier, self.variables, pos, self)
        return column if variable == self.own else Nav("LAST", variable, column, 0, pos)


@dataclass
class MeasureScope:
    """MEASURES: a variable's column is that of its last row; the partition's columns are constant."""

    source: SourceText
    place: str
    stream: Stream
    variables: Mapping[str, str]
    key: tuple[Col, ...]

    def column(self, qualifier: str | None, name: str, pos: int) -> Expr:
        column = stream_column(self.stream, name, pos, self.source)
        if qualifier is None:
            if any(k.name == column.name for k in self.key):
                return column
            return Nav("LAST", None, column, 0, pos)
        return Nav("LAST", known_variable(qualifier, self.variables, pos, self), column, 0, pos)


@dataclass
class OutputScope:
    """Names that a subquery or MEASURES puts out; they stand for the expressions behind them."""

    source: SourceText
    place: str
    outputs: Mapping[str, tuple[str, Expr]]  # lower case -> (as written, expression)
    aliases: frozenset[str] = frozenset()

    def column(self, qualifier: str | None, name: str, pos: int) -> Expr:
        if qualifier is not None and qualifier.lower() not in self.aliases:
            raise RuleError(
                f"unknown table {qualifier!r} in {self.place}",
                self.source,
                pos,
                length=len(qualifier),
                hint="outside MATCH_RECOGNIZE only the measures and the partition's columns are there, without a variable",
            )
        found = self.outputs.get(name.lower())
        if found is None:
            raise RuleError(
                f"there is no column {name!r} in {self.place}",
                self.source,
                pos,
                length=len(name),
                hint=nearest(name, [written for written, _ in self.outputs.values()]),
            )
        return found[1]
