"""Aggregates to Python: what is kept for them, and the lines by which a row joins, leaves, or two of them become one.

Aggregates over the same values share what is kept: COUNT(x), SUM(x) and AVG(x) have one count and one sum.

    n count   s sum   v moments (STDDEV, VARIANCE)   lo, hi extremes   d the values themselves, for DISTINCT
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from m1cep.plan.ir import Agg, Call, Expr, Frame
from m1cep.runtime.sliding import Extreme, Moments, Total, finite, minus_decimal, plus_decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.codegen.expr import ExprWriter

_NEEDS = {"COUNT": "n", "SUM": "ns", "AVG": "ns", "MIN": ("lo",), "MAX": ("hi",)}
_SPREAD = {
    "STDDEV_SAMP": "deviation(1)",
    "STDDEV_POP": "deviation(0)",
    "VAR_SAMP": "variance(1)",
    "VAR_POP": "variance(0)",
}
RUNTIME: dict[str, Any] = {f.__name__: f for f in (Extreme, Moments, Total, finite)} | {
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
    def may_overflow(self) -> bool:
        return isinstance(self.expr, Call) and self.expr.type.kind == "DOUBLE"


class Aggregates:
    """The lines for a set of aggregates. In them ``x<j>`` is the j-th input's value, ``s`` the object that keeps the parts.

    Args:
        aggregates: what is asked for, each with its frame where rows leave.
        writer: writes the arguments.
        sliding: whether rows leave again in the order in which they came; otherwise two sets of rows can become one.
    """

    def __init__(self, aggregates: Sequence[tuple[Agg, Frame | None]], writer: ExprWriter, *, sliding: bool) -> None:
        self._writer = writer
        self._sliding = sliding
        self.inputs: list[Input] = []
        self._parts: list[list[str]] = []
        for agg, frame in aggregates:
            j = self.input_of(agg, frame)
            needs = _NEEDS.get(agg.func, "v")
            self._parts[j] += [p for p in needs if p not in self._parts[j]]

    def input_of(self, agg: Agg, frame: Frame | None = None) -> int:
        """Number of the input that an aggregate is over."""
        wanted = Input(agg.expr, agg.where, agg.distinct, frame)
        if wanted not in self.inputs:
            self.inputs.append(wanted)
            self._parts.append(["d"] if agg.distinct else [])
        return self.inputs.index(wanted)

    def slots(self) -> list[tuple[str, str]]:
        """Attribute and initial value of each part."""
        return [(f"{p}{j}", self._initial(p, j)) for j, parts in enumerate(self._parts) for p in parts]

    def decimal_sums(self) -> list[str]:
        """Attributes of the sums whose number of digits tells of values that left."""
        return [f"s{j}" for j, parts in enumerate(self._parts) if "s" in parts and self.inputs[j].kind == "DECIMAL"]

    def _initial(self, part: str, j: int) -> str:
        match part:
            case "s":
                return "Total()" if self.inputs[j].kind == "DOUBLE" else "0"
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
        if wanted.may_overflow:
            value = f"finite({value})"
        return value if wanted.where is None else f"({value} if {self._writer.truth(wanted.where)} else None)"

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
                add = {"DOUBLE": f"s.s{j}.add(x{j})", "DECIMAL": f"s.s{j} = plus_decimal(s.s{j}, x{j})"}
                return [add.get(self.inputs[j].kind, f"s.s{j} += x{j}")]
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
                take = {"DOUBLE": f"s.s{j}.add(-x{j})", "DECIMAL": f"s.s{j} = minus_decimal(s.s{j}, x{j})"}
                return [take.get(self.inputs[j].kind, f"s.s{j} -= x{j}")]
            case "v":
                return [f"s.v{j}.remove({self._as_moment(j)})"]
            case "lo" | "hi":
                return [f"s.{part}{j}.remove(x{j})"]
        return []

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
            case "s" | "v" if part == "v" or self.inputs[j].kind == "DOUBLE":
                return [f"s.{name}.merge(o.{name})"]
        return [f"s.{name} += o.{name}"]

    def read(self, agg: Agg, frame: Frame | None = None) -> str:
        """Source of an aggregate's value."""
        j = self.input_of(agg, frame)
        double = self.inputs[j].kind == "DOUBLE"
        match agg.func:
            case "COUNT":
                return f"s.n{j}"
            case "SUM":
                return f"(s.s{j}{'.value()' * double} if s.n{j} else None)"
            case "AVG":
                return f"({f's.s{j}.mean(s.n{j})' if double else f's.s{j} / s.n{j}'} if s.n{j} else None)"
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
