"""Interval joins: pairs of rows of two streams that share a key and lie close in event time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m1cep.plan.ir import Col, Expr, walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from m1cep.plan.plans import Output

LEFT, RIGHT = 0, 1


@dataclass(frozen=True, slots=True)
class SideCol(Col):
    """A column of one side's row; ``side`` is LEFT or RIGHT."""

    side: int = LEFT


@dataclass(frozen=True)
class JoinSide:
    """One side: its stream or view, the columns that must equal the other side's, which of its rows take part."""

    stream: str
    key: tuple[SideCol, ...]
    where: Expr


@dataclass(frozen=True)
class JoinPlan:
    """Pairs of rows with equal keys for which lower <= right's event time - left's <= upper.

    Attributes:
        source: name of what is read: both streams side by side, or the one that is joined with itself.
        key: the left side's, after which the alert's key is named.
        left, right: the sides.
        lower, upper: bounds of right's time less left's, both inclusive, in the streams' unit; either may be negative.
        on: what else makes two rows a pair.
        where: which pairs (and, of an outer join, which rows without a partner) are alerts.
        select: of SideCols.
        outer: LEFT JOIN: a left row that can no longer find a partner goes on with NULLs on the right.
        absence: an outer join whose ``where`` no pair can satisfy: only rows without a partner are alerts.
    """

    source: str
    key: tuple[SideCol, ...]
    left: JoinSide
    right: JoinSide
    lower: int
    upper: int
    on: Expr
    where: Expr
    select: tuple[Output, ...]
    outer: bool = False
    absence: bool = False


def side_columns(exprs: Iterable[Expr], side: int) -> list[SideCol]:
    """The columns of one side that expressions name, each once, in order of appearance."""
    found = {e.attr: e for expr in exprs for e in walk(expr) if isinstance(e, SideCol) and e.side == side}
    return list(found.values())
