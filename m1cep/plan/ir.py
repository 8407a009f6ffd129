"""Checked expressions: names resolved, types known. What plans (``plan.plans``) are made of and code is generated from.

``pos`` is the character offset in the rule text, for errors and for mapping generated lines back to SQL; equal expressions may
stand at different places.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from m1cep.model.types import BIGINT, BOOLEAN, STRING, SqlType

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; ``value`` None is NULL."""

    value: Any
    type: SqlType
    pos: int = field(default=0, compare=False)

    @property
    def nullable(self) -> bool:
        return self.value is None


@dataclass(frozen=True, slots=True)
class Col:
    """A column of the row at hand; ``attr`` is its attribute on the row object."""

    name: str
    attr: str
    type: SqlType
    nullable: bool
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of the front matter, ``:name``."""

    name: str
    value: Any
    type: SqlType
    pos: int = field(default=0, compare=False)
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or scalar function, by its name in ``plan.operators``."""

    op: str
    args: tuple[Expr, ...]
    type: SqlType
    nullable: bool
    pos: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Prev:
    """``expr`` on the row ``offset`` places before the row at hand in its partition (after it, where ``offset`` is
    negative: NEXT); NULL where there is none.
    """

    expr: Expr
    offset: int
    pos: int = field(default=0, compare=False)
    nullable: bool = True

    @property
    def type(self) -> SqlType:
        return self.expr.type


@dataclass(frozen=True, slots=True)
class Nav:
    """``expr`` on a row mapped to a pattern variable: the first or the last, ``offset`` places further inside.

    ``variable`` None means the rows of the match whatever their variable; it may be the name of a SUBSET.
    ``final``: seen from the match's last row, even where ALL ROWS PER MATCH shows an earlier one.
    """

    which: str  # FIRST | LAST
    variable: str | None
    expr: Expr
    offset: int = 0
    pos: int = field(default=0, compare=False)
    nullable: bool = True
    final: bool = False

    @property
    def type(self) -> SqlType:
        return self.expr.type


@dataclass(frozen=True, slots=True)
class Agg:
    """An aggregate over the rows mapped to a variable, or over a window's rows (``variable`` None).

    ``expr`` None is COUNT(*). ``where`` is the FILTER clause.
    """

    func: str  # COUNT SUM AVG MIN MAX STDDEV_SAMP STDDEV_POP VAR_SAMP VAR_POP
    variable: str | None
    expr: Expr | None
    type: SqlType
    where: Expr | None = None
    pos: int = field(default=0, compare=False)
    distinct: bool = False
    final: bool = False

    @property
    def nullable(self) -> bool:
        return self.func != "COUNT"


@dataclass(frozen=True, slots=True)
class Label:
    """CLASSIFIER() of the row at hand: the variable to which it is mapped."""

    pos: int = field(default=0, compare=False)
    type: SqlType = STRING
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class MatchNumber:
    """MATCH_NUMBER(): 1 for the first match of a partition."""

    pos: int = field(default=0, compare=False)
    type: SqlType = BIGINT
    nullable: bool = False


Expr: TypeAlias = Literal | Col | Param | Call | Prev | Nav | Agg | Label | MatchNumber

WINDOW_COLUMN = "\0window "
"""Name, with a number after it, of the Col that stands for a window's value; it cannot be written in SQL."""

LAG = "LAG"
"""Function of a Windowed that is no aggregate: the value ``frame.rows`` rows before."""

WINDOW_START, WINDOW_END = "\0window_start", "\0window_end"
"""Names of the Cols that stand for a group window's bounds."""

TRUE = Literal(value=True, type=BOOLEAN)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The direct parts of an expression."""
    match expr:
        case Call(args=args):
            return args
        case Prev(expr=inner) | Nav(expr=inner):
            return (inner,)
        case Agg(expr=inner, where=where):
            return tuple(e for e in (inner, where) if e is not None)
    return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and all its parts, parents first."""
    yield expr
    for child in children(expr):
        yield from walk(child)


def may_leave_type(expr: Expr) -> bool:
    """Whether the result of + - * (or of the sign) may be beyond its type, where SQL's value is NULL.

    A chain of them is computed through and looked at once, at its end: what is infinite stays so, integers are exact.
    """
    if isinstance(expr, Agg):
        return expr.func == "SUM" and expr.type.kind != "DOUBLE"  # of DOUBLEs it is looked at where it is summed up
    if not isinstance(expr, Call) or expr.op not in {"ADD", "SUB", "MUL", "NEG", "ABS"}:
        return False
    if expr.op in {"NEG", "ABS"} and not expr.type.is_integer:
        return may_leave_type(expr.args[0])  # only integers have one negative number more than positive ones
    return not all(a.type.kind == "TIMESTAMP" for a in expr.args)  # all times are within 10,000 years


def conjuncts(expr: Expr) -> list[Expr]:
    """The parts of a conjunction, flattened; a constant TRUE has none."""
    if isinstance(expr, Call) and expr.op == "AND":
        return [part for arg in expr.args for part in conjuncts(arg)]
    return [] if isinstance(expr, Literal) and expr.value is True else [expr]


def conjunction(parts: list[Expr]) -> Expr:
    """The AND of ``parts``; TRUE for none."""
    if not parts:
        return TRUE
    if len(parts) == 1:
        return parts[0]
    return Call("AND", tuple(parts), BOOLEAN, any(p.nullable for p in parts), parts[0].pos)
