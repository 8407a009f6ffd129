"""What a running match must remember, and nothing more: one slot for each distinct FIRST, LAST, aggregate.

A match's memory is a flat tuple. Slots are updated when a row is mapped to a variable, never recomputed from stored rows, so
that the cost of an event does not grow with the length of the match.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from m1cep.plan.ir import Agg, Expr, Nav, children, walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from m1cep.plan.ir import MatchPlan

BASE = 2  # positions before the slots: 0 the chain of event ids, 1 the time of the last row


@dataclass(frozen=True, slots=True)
class Slot:
    """One remembered value.

    Attributes:
        kind: COUNT SUM MIN MAX, FIRST (the offset-th row from the front), LAST (the offset-th from the back).
        variable: whose rows, or None for all.
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


def _plain(expr: Expr | None) -> Expr | None:
    """An expression without source positions, so that equal ones share a slot."""
    if expr is None:
        return None
    changes: dict[str, Any] = {"pos": 0}
    for name in ("expr", "where"):
        if hasattr(expr, name):
            changes[name] = _plain(getattr(expr, name))
    if hasattr(expr, "args"):
        changes["args"] = tuple(_plain(a) for a in expr.args)
    return replace(expr, **changes)


def slot_of(expr: Nav | Agg) -> tuple[Slot, ...]:
    """The slots that give an expression its value: two for AVG, else one."""
    inner = _plain(expr.expr)
    if isinstance(expr, Nav):
        return (Slot(expr.which, expr.variable, inner, None, expr.offset),)
    where = _plain(expr.where)
    if expr.func == "AVG":
        return (Slot("SUM", expr.variable, inner, where), Slot("COUNT", expr.variable, inner, where))
    counted = None if expr.func == "COUNT" and inner is not None and not inner.nullable else inner
    return (Slot(expr.func, expr.variable, counted, where),)


def row_count(variable: str | None) -> Slot:
    """How many rows are mapped to a variable; FIRST needs it."""
    return Slot("COUNT", variable, None)


def plan_slots(plan: MatchPlan) -> SlotMap:
    """All slots that conditions, measures and the outer WHERE need."""
    found: dict[Slot, None] = {}
    for expr in _places(plan):
        for slot in slot_of(expr):
            if slot.kind == "FIRST":
                found.setdefault(row_count(slot.variable))
            if slot.kind == "LAST":  # LAST(x, 2) moves up from LAST(x, 1) and LAST(x)
                for nearer in range(slot.offset):
                    found.setdefault(replace(slot, offset=nearer))
            found.setdefault(slot)
    return SlotMap(tuple(found))


def _places(plan: MatchPlan) -> Iterable[Nav | Agg]:
    for expr in (*plan.define.values(), plan.having, *(o.expr for o in plan.select)):
        yield from places(expr)


def places(expr: Expr) -> Iterable[Nav | Agg]:
    """The Nav and Agg parts of an expression, outermost only."""
    if isinstance(expr, Nav | Agg):
        yield expr
        return
    for child in children(expr):
        yield from places(child)


def depends_on_past(expr: Expr) -> bool:
    """Whether a condition looks at rows mapped before, and so differs from attempt to attempt."""
    return any(isinstance(e, Nav | Agg) for e in walk(expr))
