"""Aggregates to Python: what is kept for them, and the lines by which a row joins, leaves, or two of them become one.

Aggregates over the same values share what is kept: COUNT(x), SUM(x) and AVG(x) have one count and one sum.

    n count   s sum   v moments (STDDEV, VARIANCE)   lo, hi extremes   d the values themselves, for DISTINCT

Sums of DOUBLEs are whole numbers of units (runtime.sliding): ``y<j>`` is ``x<j>`` in these units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from m1cep.plan.ir import Agg, Call, Expr, may_leave_type
from m1cep.runtime.sliding import UNITS, Extreme, Moments, finite, mean, minus_decimal, plus_decimal, rounded, scaled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from m1cep.codegen.expr import ExprWriter
    from m1cep.plan.plans import Frame

_NEEDS = {"COUNT": "n", "SUM": "ns", "AVG": "ns", "MIN": ("lo",), "MAX": ("hi",)}
_SPREAD = {
    "STDDEV_SAMP": "deviation(1)",
    "STDDEV_POP": "deviation(0)",
    "VAR_SAMP": "variance(1)",
    "VAR_POP": "variance(0)",
}
RUNTIME: dict[str, Any] = {f.__name__: f for f in (Extreme, Moments, finite, mean, rounded, scaled)} | {
    "UNITS": UNITS,
    "plus_decimal": plus_decimal,
    "minus_decimal": minus_decimal,
}
"""What the lines call."""


@dataclass(frozen=True)
class Input:
    """Values that aggregates are made of: an argument (None: each row counts), which rows, and whether only different ones."""

    expr: Expr | None
    where: Expr | None
    distinct: bool
    frame: Frame | None

    @property
    def kind(self) -> str:
        """How it is summed: DOUBLE, DECIMAL, or an integer."""
        return "INTEGER" if self.expr is None else self.expr.type.kind

    @property
    def may_be_null(self) -> bool:
        return self.where is not None or (self.expr is not None and (self.expr.nullable or self.may_overflow))

    @property
    def constant(self) -> bool:
        """Whether every row brings the same value: COUNT(*)."""
        return self.expr is None and self.where is None

    @property
    def may_overflow(self) -> bool:
        return isinstance(self.expr, Call) and self.expr.type.kind == "DOUBLE"


class Aggregates:
    """The lines for a set of aggregates. In them ``x<j>`` is the j-th input's value, ``s`` the object that keeps the parts.

    Args:
        aggregates: what is asked for, each with its frame where rows leave.
        writer: writes the arguments.
        rows: where rows leave again, in the order in which they came, the source of the number of rows in each frame. None where
            two sets of rows can become one instead.
    """

    def __init__(
        self, aggregates: Sequence[tuple[Agg, Frame | None]], writer: ExprWriter, rows: Mapping[Frame, str] | None
    ) -> None:
        self._writer = writer
        self._sliding = rows is not None
        self._rows = rows or {}
        self.inputs: list[Input] = []
        self._parts: list[list[str]] = []
        for agg, frame in aggregates:
            j = self.input_of(agg, frame)
            needs = [p for p in _NEEDS.get(agg.func, "v") if p != "n" or self._counts(agg, j)]
            self._parts[j] += [p for p in needs if p not in self._parts[j]]

    def _counts(self, agg: Agg, j: int) -> bool:
        """Whether the values of an input are to be counted: where some row may bring none, or nothing else tells."""
        wanted = self.inputs[j]
        every_row = not (wanted.may_be_null or wanted.distinct)
        return not (every_row and (agg.func == "SUM" or wanted.frame in self._rows))

    def input_of(self, agg: Agg, frame: Frame | None = None) -> int:
        """Number of the input that an aggregate is over."""
        wanted = Input(agg.expr, agg.where, agg.distinct, frame)
        if wanted not in self.inputs:
            self.inputs.append(wanted)
            self._parts.append(["d"] if agg.distinct else [])
        return self.inputs.index(wanted)

    def slots(self) -> list[tuple[str, str]]:
        """Attribute and initial value of each part."""
        return [(f"{p}{j}", self._initial(p)) for j, parts in enumerate(self._parts) for p in parts]

    def decimal_sums(self) -> list[str]:
        """Attributes of the sums whose number of digits tells of values that left."""
        return [f"s{j}" for j, parts in enumerate(self._parts) if "s" in parts and self.inputs[j].kind == "DECIMAL"]

    def _initial(self, part: str) -> str:
        match part:
            case "v":
                return "Moments()"
            case "d":
                return "{}"
            case "lo" | "hi":
                return f"Extreme({part == 'hi'})" if self._sliding else "None"
        return "0"

    def argument(self, j: int) -> str:
        """Source of the value that a row brings, None when it does not count."""
        wanted = self.inputs[j]
        value = "1" if wanted.expr is None else self._writer.value(wanted.expr)
        if wanted.may_overflow and not (
            wanted.expr and may_leave_type(wanted.expr)
        ):  # else it is within DOUBLE already
            value = f"finite({value})"
        return value if wanted.where is None else f"({value} if {self._writer.truth(wanted.where)} else None)"

    def stored(self, j: int) -> list[str]:
        """What is to be kept of a row for when it leaves: its value, and that in units where it is added and subtracted."""
        if self.inputs[j].constant:
            return []
        return [f"x{j}", f"y{j}"] if self._in_units(j) else [f"x{j}"]

    def convert(self, j: int) -> list[str]:
        """Lines that make ``y<j>`` of ``x<j>``, before the row comes in."""
        if not self._in_units(j):
            return []
        source = f"int(y) if (y := x{j} * UNITS).is_integer() else scaled(x{j})"
        return [f"y{j} = None if x{j} is None else {source}" if self.inputs[j].may_be_null else f"y{j} = {source}"]

    def _in_units(self, j: int) -> bool:
        return "s" in self._parts[j] and self.inputs[j].kind == "DOUBLE" and not self.inputs[j].distinct

    def join(self, j: int) -> list[str]:
        """A row comes in with ``x<j>``."""
        return self._guarded(j, self._join_value(j))

    def _join_value(self, j: int) -> list[str]:
        lines = [line for p in self._parts[j] for line in self._join_part(p, j)]
        if not self.inputs[j].distinct:
            return lines
        if not self._sliding:
            return [f"if x{j} not in s.d{j}:", *_indented([f"s.d{j}[x{j}] = None", *lines])]
        counted = [f"c = s.d{j}.get(x{j}, 0)", f"s.d{j}[x{j}] = c + 1"]
        return [*counted, "if not c:", *_indented(lines)]

    def _join_part(self, part: str, j: int) -> list[str]:
        match part:
            case "n":
                return [f"s.n{j} += 1"]
            case "s":
                if self.inputs[j].kind == "DECIMAL":
                    return [f"s.s{j} = plus_decimal(s.s{j}, x{j})"]
                return [f"s.s{j} += {self._amount(j)}"]
            case "v":
                return [f"s.v{j}.add({self._as_moment(j)})"]
            case "lo" | "hi" if self._sliding:
                return [f"s.{part}{j}.add(x{j})"]
            case "lo" | "hi":
                return [f"if s.{part}{j} is None or x{j} {_BEATS[part]} s.{part}{j}:", f"    s.{part}{j} = x{j}"]
        return []

    def leave(self, j: int) -> list[str]:
        """A row that came in with ``x<j>`` goes, the oldest first."""
        lines = [line for p in self._parts[j] for line in self._leave_part(p, j)]
        if self.inputs[j].distinct:
            counted = [f"c = s.d{j}[x{j}] - 1", "if c:", f"    s.d{j}[x{j}] = c"]
            lines = [*counted, "else:", *_indented([f"del s.d{j}[x{j}]", *lines])]
        return self._guarded(j, lines)

    def _leave_part(self, part: str, j: int) -> list[str]:
        match part:
            case "n":
                return [f"s.n{j} -= 1"]
            case "s":
                if self.inputs[j].kind == "DECIMAL":
                    return [f"s.s{j} = minus_decimal(s.s{j}, x{j})"]
                return [f"s.s{j} -= {self._amount(j)}"]
            case "v":
                return [f"s.v{j}.remove({self._as_moment(j)})"]
            case "lo" | "hi":
                return [f"s.{part}{j}.remove(x{j})"]
        return []

    def _amount(self, j: int) -> str:
        if self._in_units(j):
            return f"y{j}"
        return f"scaled(x{j})" if self.inputs[j].kind == "DOUBLE" else f"x{j}"

    def merge(self, j: int) -> list[str]:
        """What ``o`` keeps, of other rows that came later, becomes part of ``s``."""
        if self.inputs[j].distinct:
            return [f"for x{j} in o.d{j}:", *_indented(self._join_value(j))]
        return [line for p in self._parts[j] for line in self._merge_part(p, j)]

    def _merge_part(self, part: str, j: int) -> list[str]:
        name = f"{part}{j}"
        match part:
            case "lo" | "hi":
                better = f"o.{name} is not None and (s.{name} is None or o.{name} {_BEATS[part]} s.{name})"
                return [f"if {better}:", f"    s.{name} = o.{name}"]
            case "s" if self.inputs[j].kind == "DECIMAL":
                return [f"s.{name} = plus_decimal(s.{name}, o.{name})"]
            case "v":
                return [f"s.{name}.merge(o.{name})"]
        return [f"s.{name} += o.{name}"]

    def read(self, agg: Agg, frame: Frame | None = None) -> str:
        """Source of an aggregate's value."""
        j = self.input_of(agg, frame)
        double = self.inputs[j].kind == "DOUBLE"
        counted = "n" in self._parts[j]
        count = f"s.n{j}" if counted else self._rows.get(self.inputs[j].frame, "")  # type: ignore[arg-type]  # None is in none
        unless_none = f" if {count} else None" * counted
        match agg.func:
            case "COUNT":
                return count
            case "SUM":
                return f"({f'rounded(s.s{j})' if double else f's.s{j}'}{unless_none})"
            case "AVG":
                return f"({f'mean(s.s{j}, {count})' if double else f's.s{j} / {count}'}{unless_none})"
            case "MIN" | "MAX":
                return f"s.{'lo' if agg.func == 'MIN' else 'hi'}{j}{'.value()' * self._sliding}"
        return f"s.v{j}.{_SPREAD[agg.func]}"

    def _as_moment(self, j: int) -> str:
        return f"float(x{j})" if self.inputs[j].kind == "DECIMAL" else f"x{j}"

    def _guarded(self, j: int, lines: list[str]) -> list[str]:
        return [f"if x{j} is not None:", *_indented(lines)] if self.inputs[j].may_be_null else lines


_BEATS = {"lo": "<", "hi": ">"}


def _indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]
