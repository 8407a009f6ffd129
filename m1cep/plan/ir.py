"""Checked expressions: names resolved, types known. What plans are made of and code is generated from.

``pos`` is the character offset in the rule text, for errors and for mapping generated lines back to SQL; equal expressions may
stand at different places.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from m1cep.model.types import BIGINT, BOOLEAN, STRING, SqlType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m1cep.plan.join import JoinPlan


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


@dataclass(frozen=True, slots=True)
class Output:
    """A named expression of a SELECT list or MEASURES."""

    name: str
    expr: Expr


@dataclass(frozen=True, slots=True)
class Frame:
    """How far back an OVER window reaches from the current row, which it includes.

    Exactly one of them: ``range`` in the stream's time unit, bound inclusive; ``rows`` before the current one.
    Of LAG, ``rows`` is how far back it looks.
    """

    range: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Windowed:
    """An aggregate, or LAG, and its frame."""

    agg: Agg
    frame: Frame


@dataclass(frozen=True)
class FilterPlan:
    """Rows of ``source`` for which ``where`` is true."""

    source: str
    key: tuple[Col, ...]
    where: Expr
    select: tuple[Output, ...]


@dataclass(frozen=True)
class OverPlan:
    """Aggregates over what came before each row of a key; rows for which ``having`` is true are alerts.

    In ``having`` and ``select`` the n-th windowed aggregate is a Col named WINDOW_COLUMN n with attr ``w<n>``.
    """

    source: str
    key: tuple[Col, ...]
    where: Expr
    windows: tuple[Windowed, ...]
    having: Expr
    select: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class WindowShape:
    """Which windows a row belongs to; all in the stream's time unit, every window [start, end).

    TUMBLE and HOP: [n slide + offset, n slide + offset + size) for every n; of TUMBLE ``slide`` is ``size``.
    CUMULATE: within each [n size + offset, (n + 1) size + offset), the windows that begin with it and grow by ``slide``.
    SESSION, for each value of ``session_key``: from a row to ``size`` after the last of those that each follow within ``size``.
    """

    kind: str  # TUMBLE HOP CUMULATE SESSION
    size: int
    slide: int
    offset: int = 0
    session_key: tuple[Col, ...] = ()


@dataclass(frozen=True)
class WindowPlan:
    """Aggregates over windows and GROUP BY ``key``; groups for which ``having`` is true are alerts when their window ends.

    Rows for which ``where`` is true go into windows; of a session, those for which ``counted`` is true also go into its groups:
    WHERE comes after the window table function, so that other rows prolong a session.
    In ``having`` and ``select`` the n-th aggregate is a Col named WINDOW_COLUMN n with attr ``w<n>``; other Cols are those of
    the key, WINDOW_START and WINDOW_END.
    """

    source: str
    key: tuple[Col, ...]
    where: Expr
    counted: Expr
    shape: WindowShape
    aggregates: tuple[Agg, ...]
    having: Expr
    select: tuple[Output, ...]


@dataclass(frozen=True)
class MatchPlan:
    """A row pattern.

    Attributes:
        pattern: a plan.pattern.Pattern.
        within: bound on last - first, exclusive, in the stream's unit.
        define: a condition for every variable of the pattern, TRUE where none was written.
        subsets: the variables of each SUBSET.
        rows: which rows a match gives: ONE ROW, ALL ROWS (and a row for an empty match), ALL ROWS OMIT EMPTY,
            ALL ROWS WITH UNMATCHED.
        skip: where the search goes on: PAST LAST ROW, TO NEXT ROW, TO FIRST, TO LAST (of ``skip_to``).
        having, select: over the measures (Nav, Agg and key columns), with ALL ROWS also over the columns of the row.
    """

    source: str
    key: tuple[Col, ...]
    where: Expr
    pattern: Any
    within: int | None
    define: dict[str, Expr] = field(default_factory=dict)
    subsets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: str = "ONE ROW"
    skip: str = "PAST LAST ROW"
    skip_to: str | None = None
    having: Expr = TRUE
    select: tuple[Output, ...] = ()

    @property
    def all_rows(self) -> bool:
        return self.rows != "ONE ROW"

    def members(self, variable: str | None) -> tuple[str, ...]:
        """The variables that a name stands for: itself, those of a SUBSET, or all."""
        if variable is None:
            return tuple(self.define)
        return self.subsets.get(variable, (variable,))


Plan: TypeAlias = "FilterPlan | OverPlan | WindowPlan | MatchPlan | JoinPlan"


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
