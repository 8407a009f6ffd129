"""What a rule is once understood: a plan of one kind, made of checked expressions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from m1cep.plan.ir import TRUE, Agg, Col, Expr

if TYPE_CHECKING:
    from m1cep.plan.join import JoinPlan


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
