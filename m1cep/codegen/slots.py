"""Memories of matches to Python: how they begin, how they change when a row is mapped, and how expressions read them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from m1cep.codegen.expr import ExprWriter
from m1cep.model.types import DOUBLE
from m1cep.plan.ir import Agg, Call, Col, Expr, Label, MatchNumber, Nav, Prev
from m1cep.plan.slots import Slot, SlotMap, row_count, slot_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m1cep.plan.plans import MatchPlan

_BEGIN = {"COUNT": "0", "MOMENTS": "(0, 0, 0)", "SET": "frozenset()"}
_SPREAD = {"STDDEV_SAMP": "deviation({}, 1)", "STDDEV_POP": "deviation({}, 0)"}
_SPREAD |= {"VAR_SAMP": "variance({}, 1)", "VAR_POP": "variance({}, 0)"}
_DISTINCT = {
    "COUNT": "len({})",
    "SUM": "distinct_sum({})",
    "AVG": "distinct_average({})",
    "MIN": "min({}, default=None)",
    "MAX": "max({}, default=None)",
}


class SlotWriter:
    """Writes expressions over a memory, and what becomes of the memory.

    Attributes:
        columns: while the SELECT list is written, the source of each key column.
        chained: whether the memory must know the states in which rows were taken.
        place: how the parts of the memory ``c`` are written.
        showing: whether the SELECT list is written: ``m`` is the memory at the row shown, ``z`` that at the match's end.
    """

    def __init__(self, plan: MatchPlan, slots: SlotMap) -> None:
        self.plan = plan
        self.slots = slots
        self.writer = ExprWriter(leaf=self._leaf)
        self.chained = True
        self.columns: dict[str, str] = {}
        self.showing = False
        self.place = "c[{}]"
        self._variable: str | None = None
        self._shift = 0  # inside PREV: how many rows before the one at hand

    @contextmanager
    def mapping(self, variable: str) -> Iterator[None]:
        """While the row at hand is mapped to ``variable``."""
        self._variable = variable
        yield
        self._variable = None

    def nothing(self) -> str:
        """The memory before the first row."""
        return f"(None{''.join(', ' + _BEGIN.get(s.kind, 'None') for s in self.slots.slots)},)"

    def forward(self, variable: str) -> str:
        """The memory with the row at hand as the newest."""
        updates = "".join(f", {self._update(slot, variable)}" for slot in self.slots.slots)
        chain = "(c[0], s)" if self.chained else "None"
        return f"({chain}{updates},)"

    def backward(self, variable: str) -> str:
        """The memory with the row at hand put in front of the oldest: FIRST and LAST change places."""
        return f"(None{''.join(f', {self._update(slot, variable, back=True)}' for slot in self.slots.slots)},)"

    @contextmanager
    def apart(self, row: str) -> Iterator[None]:
        """While the parts of the memory stand in variables of their own and the row at hand in ``row``."""
        before, self.place, self.writer.row = (self.place, self.writer.row), "c{}", row
        yield
        self.place, self.writer.row = before

    def begin_apart(self) -> dict[str, str]:
        """The parts of the memory before the first row, each in its variable."""
        return {self._at(s): _BEGIN.get(s.kind, "None") for s in self.slots.slots}

    def backward_apart(self, variable: str) -> dict[str, str]:
        """As ``backward``, of the parts that change."""
        changes = {self._at(slot): self._update(slot, variable, back=True) for slot in self.slots.slots}
        return {at: source for at, source in changes.items() if source != at}

    def _at(self, slot: Slot) -> str:
        return self.place.format(self.slots.at(slot))

    def _update(self, slot: Slot, variable: str, *, back: bool = False) -> str:
        at = self._at(slot)
        if variable not in self.plan.members(slot.variable):
            return at
        newest, oldest = ("FIRST", "LAST") if back else ("LAST", "FIRST")
        if slot.kind == newest and slot.offset:
            return self._at(Slot(newest, slot.variable, slot.expr, None, slot.offset - 1))
        value = "1" if slot.expr is None else self.writer.value(slot.expr)
        if slot.kind == newest:
            return value
        if slot.kind == oldest:
            count = self._at(row_count(slot.variable))
            return f"({value} if {count} == {slot.offset} else {at})"
        return self._aggregate(slot, at, value)

    def _aggregate(self, slot: Slot, at: str, value: str) -> str:
        guards = [] if slot.where is None else [self.writer.truth(slot.where)]
        if slot.expr is not None and slot.expr.nullable:
            guards.append(f"(_x := {value}) is not None")
            value = "_x"
        match slot.kind:
            case "COUNT":
                new = f"{at} + 1"
            case "SET":
                new = f"with_value({at}, {value})"
            case "MOMENTS":
                new = f"moments_add({at}, {value})"
            case "SUM" if slot.expr is not None and slot.expr.type == DOUBLE:
                new = f"exact_add({at}, {value})"
            case "SUM":
                new = f"{value} if {at} is None else {at} + {value}"
            case _:
                new = f"{value} if {at} is None else {slot.kind.lower()}({at}, {value})"
        return f"(({new}) if {' and '.join(guards)} else {at})" if guards else f"({new})"

    # reading

    def _leaf(self, e: Expr) -> str | None:
        match e:
            case Nav() | Agg():
                place = ("z[{}]" if e.final else "m[{}]") if self.showing else self.place
                return self._read(e, [place.format(self.slots.at(slot)) for slot in slot_of(e)])
            case Col() if self.showing:
                return self.columns.get(e.name)
            case Label() if not self._shift:
                return repr(self._variable)
            case Label():
                return f"label_before(c[0], {self._shift}, LABELS)"
            case MatchNumber():
                return "n"
            case Call(op="MEASURE", args=(measure,)):  # of a row that belongs to no match it is NULL
                return f"({self.writer.value(measure)} if n is not None else None)"
            case Prev(expr=inner, offset=offset):
                return self._neighbour(inner, offset)
        return None

    def _neighbour(self, inner: Expr, offset: int) -> str:
        """An expression on another row of the partition."""
        row, shift = self.writer.row, self._shift
        place = f"j - {offset}" if offset > 0 else f"j + {-offset}"
        self.writer.row, self._shift = f"log[{place}]", offset
        try:
            source = self.writer.value(inner)
        finally:
            self.writer.row, self._shift = row, shift
        return f"({source} if {f'j >= {offset}' if offset > 0 else f'{place} < len(log)'} else None)"

    def _read(self, e: Nav | Agg, places: list[str]) -> str:
        if isinstance(e, Nav):
            return places[0]
        if e.distinct:
            return _DISTINCT[e.func].format(places[0])
        if e.func in _SPREAD:
            return _SPREAD[e.func].format(places[0])
        double = e.expr is not None and e.expr.type == DOUBLE
        if e.func == "SUM" and double:
            return f"exact_value({places[0]})"
        if e.func == "AVG":
            total, count = places
            return f"average({total}, {count})" if double else f"({total} / {count} if {count} else None)"
        return places[0]
