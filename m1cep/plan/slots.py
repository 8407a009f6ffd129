"""What a running match must remember, and nothing more: one slot for each distinct FIRST, LAST, aggregate.

A match's memory is a flat tuple. Slots are updated when a row is mapped to a variable, never recomputed from stored rows, so
that the cost of an event does not grow with the length of the match. SUM of DOUBLE is kept exactly, as the parts of
``runtime.exact.exact_add``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from m1cep.plan.ir import Agg, Expr, Label, Nav, Prev, children, walk

if TYPE_CHECKING:
    from collections.abc import Iterable

BASE = 1  # positions before the slots: 0 is the chain of states in which the rows were taken, newest first


@dataclass(frozen=True, slots=True)
class Slot:
    """One remembered value.

    Attributes:
        kind: COUNT SUM MIN MAX, MOMENTS (count, sum and sum of squares), SET (the distinct values), FIRST (the offset-th row
            from the front), LAST (the offset-th from the back).
        variable: whose rows (a variable or a SUBSET), or None for all.
        expr: over the row that is mapped; None counts rows.
        where: only rows for which this is true.
        offset: of FIRST and LAST.
    """

    kind: str
    variable: str | None
    expr: Expr | None
    where: Expr | None = None
    offset: int = 0


@dataclass(frozen=True)
class SlotMap:
    """The slots of a rule and where each stands in the tuple."""

    slots: tuple[Slot, ...]

    def at(self, slot: Slot) -> int:
        """The position of a slot in the tuple."""
        return BASE + self.slots.index(slot)


def slot_of(expr: Nav | Agg) -> tuple[Slot, ...]:
    """The slots that give an expression its value: two for AVG, else one."""
    inner = expr.expr
    if isinstance(expr, Nav):
        return (Slot(expr.which, expr.variable, inner, None, expr.offset),)
    if expr.distinct:
        return (Slot("SET", expr.variable, inner, expr.where),)
    counted = None if inner is not None and not inner.nullable else inner
    count = Slot("COUNT", expr.variable, counted, expr.where)
    if expr.func == "COUNT":
        return (count,)
    if expr.func in {"MIN", "MAX"}:
        return (Slot(expr.func, expr.variable, inner, expr.where),)
    if expr.func not in {"SUM", "AVG"}:
        return (Slot("MOMENTS", expr.variable, inner, expr.where),)
    total = Slot("SUM", expr.variable, inner, expr.where)
    return (total,) if expr.func == "SUM" else (total, count)


def row_count(variable: str | None) -> Slot:
    """How many rows are mapped to a variable; FIRST needs it."""
    return Slot("COUNT", variable, None)


def plan_slots(exprs: Iterable[Expr], *, both_ways: bool = False) -> SlotMap:
    """All slots that expressions need; ``both_ways``: also what it takes to add rows in front of those taken in already."""
    found: dict[Slot, None] = {}
    for expr in exprs:
        for place in places(expr):
            for slot in slot_of(place):
                if slot.kind in {"FIRST", "LAST"}:
                    if both_ways or slot.kind == "FIRST":
                        found.setdefault(row_count(slot.variable))
                    if both_ways or slot.kind == "LAST":  # LAST(x, 2) moves up from LAST(x, 1) and LAST(x)
                        for nearer in range(slot.offset):
                            found.setdefault(replace(slot, offset=nearer))
                found.setdefault(slot)
    return SlotMap(tuple(found))


def places(expr: Expr) -> Iterable[Nav | Agg]:
    """The Nav and Agg parts of an expression, outermost only."""
    if isinstance(expr, Nav | Agg):
        yield expr
        return
    for child in children(expr):
        yield from places(child)


def depends_on_past(expr: Expr) -> bool:
    """Whether a condition looks at rows mapped before, and so differs from attempt to attempt."""
    return any(isinstance(e, Nav | Agg) or (isinstance(e, Prev) and _has_label(e)) for e in walk(expr))


def _has_label(expr: Expr) -> bool:
    return any(isinstance(e, Label) for e in walk(expr))


def reach(exprs: Iterable[Expr]) -> tuple[int, int]:
    """How many rows before and after the row at hand expressions look at."""
    offsets = [e.offset for x in exprs for e in walk(x) if isinstance(e, Prev)]
    return max([0, *offsets]), max([0, *(-o for o in offsets)])
