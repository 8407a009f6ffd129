"""Expressions of DEFINE and MEASURES: SQL text and three-valued evaluation (None is NULL, and unknown)."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace
from typing import Any

COMPARE = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul}


@dataclass(frozen=True)
class View:
    """What an expression sees.

    rows: the whole partition; mapped: (index, variable) of the rows mapped so far; match: of all rows of the match, for FINAL;
    row: the index that navigation has gone to, or None.
    """

    rows: list[dict]
    mapped: tuple
    match: tuple
    subsets: dict
    number: int
    row: int | None = None

    def of(self, variable, mode=""):
        """Indices of the rows mapped to a variable or to one of a subset; None: all rows of the match."""
        names = {variable, *self.subsets.get(variable, ())}
        mapped = self.match if mode == "FINAL" else self.mapped
        return [index for index, name in mapped if variable is None or name in names]

    def last(self, variable):
        return self.row if self.row is not None else nth(self.of(variable), -1)

    def at(self, index):
        return replace(self, row=index)


def nth(items, n):
    """items[n], or None when there is none."""
    return items[n] if -len(items) <= n < len(items) else None


def variable_of(expr):
    """The variable whose rows an argument speaks of; None: all rows."""
    if isinstance(expr, Field | Classifier):
        return expr.variable
    return next((v for part in parts(expr) if (v := variable_of(part)) is not None), None)


def parts(expr):
    return [value for value in vars(expr).values() if hasattr(value, "sql")]


@dataclass(frozen=True)
class Literal:
    value: Any

    def sql(self):
        if self.value is None:
            return "NULL"
        return "'" + self.value + "'" if isinstance(self.value, str) else str(self.value)

    def eval(self, _view):
        return self.value


@dataclass(frozen=True)
class Field:
    """A column: of the last row mapped to the variable, or of the row that navigation has gone to."""

    name: str
    variable: str | None = None

    def sql(self):
        return f"{self.variable}.{self.name}" if self.variable else self.name

    def eval(self, view):
        index = view.last(self.variable)
        return None if index is None else view.rows[index][self.name]


@dataclass(frozen=True)
class Classifier:
    """The variable that a row is mapped to."""

    variable: str | None = None

    def sql(self):
        return f"CLASSIFIER({self.variable or ''})"

    def eval(self, view):
        return dict(view.match or view.mapped).get(view.last(self.variable))


@dataclass(frozen=True)
class MatchNumber:
    def sql(self):
        return "MATCH_NUMBER()"

    def eval(self, view):
        return view.number


@dataclass(frozen=True)
class Nav:
    """FIRST or LAST: the argument at the row ``offset`` rows from that end, among the rows of its variable."""

    kind: str
    inner: Any
    offset: int = 0
    mode: str = ""

    def sql(self):
        offset = f", {self.offset}" if self.offset else ""
        return f"{self.mode} {self.kind}({self.inner.sql()}{offset})".strip()

    def find(self, view):
        rows = view.of(variable_of(self.inner), self.mode)
        return nth(rows, self.offset) if self.kind == "FIRST" else nth(rows, -1 - self.offset)

    def eval(self, view):
        index = self.find(view)
        return None if index is None else self.inner.eval(view.at(index))


@dataclass(frozen=True)
class Shift:
    """PREV or NEXT: rows before or after in the partition, mapped or not; of FIRST, LAST or the last row of a variable."""

    kind: str
    inner: Any
    offset: int = 1

    def sql(self):
        offset = f", {self.offset}" if self.offset != 1 else ""
        return f"{self.kind}({self.inner.sql()}{offset})"

    def eval(self, view):
        nested = isinstance(self.inner, Nav)
        index = self.inner.find(view) if nested else view.last(variable_of(self.inner))
        if index is None:
            return None
        index += self.offset if self.kind == "NEXT" else -self.offset
        value = self.inner.inner if nested else self.inner
        return value.eval(view.at(index)) if 0 <= index < len(view.rows) else None


@dataclass(frozen=True)
class Aggregate:
    """COUNT, SUM, AVG, MIN, MAX. Without an argument: COUNT(*) or COUNT(variable.*)."""

    func: str
    argument: Any = None
    variable: str | None = None
    distinct: bool = False
    mode: str = ""

    def sql(self):
        text = self.argument.sql() if self.argument else (f"{self.variable}.*" if self.variable else "*")
        return f"{self.mode} {self.func}({'DISTINCT ' * self.distinct}{text})".strip()

    def eval(self, view):
        variable = self.variable if self.argument is None else variable_of(self.argument)
        rows = view.of(variable, self.mode)
        if self.argument is None:
            return len(rows)
        values = [v for index in rows if (v := self.argument.eval(view.at(index))) is not None]
        if self.distinct:
            values = list(dict.fromkeys(values))
        if self.func == "COUNT":
            return len(values)
        if not values:
            return None
        if self.func in {"MIN", "MAX"}:
            return min(values) if self.func == "MIN" else max(values)
        total = sum(values) if all(isinstance(v, int) for v in values) else math.fsum(values)
        return total if self.func == "SUM" else total / len(values)


@dataclass(frozen=True)
class Binary:
    """Comparison or arithmetic: NULL when one side is."""

    op: str
    left: Any
    right: Any

    def sql(self):
        text = f"{self.left.sql()} {self.op} {self.right.sql()}"
        return text if self.op in COMPARE else f"({text})"

    def eval(self, view):
        left, right = self.left.eval(view), self.right.eval(view)
        return None if left is None or right is None else (COMPARE | ARITHMETIC)[self.op](left, right)


@dataclass(frozen=True)
class And:
    left: Any
    right: Any

    def sql(self):
        return f"({self.left.sql()} AND {self.right.sql()})"

    def eval(self, view):
        sides = self.left.eval(view), self.right.eval(view)
        return False if False in sides else (None if None in sides else True)


@dataclass(frozen=True)
class Or:
    left: Any
    right: Any

    def sql(self):
        return f"({self.left.sql()} OR {self.right.sql()})"

    def eval(self, view):
        sides = self.left.eval(view), self.right.eval(view)
        return True if True in sides else (None if None in sides else False)


@dataclass(frozen=True)
class Not:
    inner: Any

    def sql(self):
        return f"NOT ({self.inner.sql()})"

    def eval(self, view):
        value = self.inner.eval(view)
        return None if value is None else not value


@dataclass(frozen=True)
class IsNull:
    inner: Any

    def sql(self):
        return f"{self.inner.sql()} IS NULL"

    def eval(self, view):
        return self.inner.eval(view) is None
