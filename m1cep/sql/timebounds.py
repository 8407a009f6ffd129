"""Bounds on the difference of two event times, however written: b.ts <= a.ts + INTERVAL '5' SECOND, b.ts - a.ts < :gap."""

from __future__ import annotations

from dataclasses import dataclass

from m1cep.model.types import US_PER_UNIT
from m1cep.plan.ir import Call, Expr, Literal, Param
from m1cep.plan.join import LEFT, RIGHT, SideCol

_FLIPPED = {"LT": "GT", "LE": "GE", "GT": "LT", "GE": "LE", "EQ": "EQ"}

_Linear = tuple[int, int, int]  # how often left's time, how often right's, and how many microseconds


@dataclass
class TimeBounds:
    """What is known of right's event time less left's: both bounds inclusive, in ``unit``; None is unbounded."""

    time_attrs: tuple[str, str]
    unit: str
    lower: int | None = None
    upper: int | None = None

    def take(self, part: Expr) -> bool:
        """Take a condition in, if it is nothing but a bound; False for any other."""
        if not isinstance(part, Call) or part.op not in _FLIPPED:
            return False
        x, y = (self._linear(arg) for arg in part.args)
        if x is None or y is None:
            return False
        left, right, micros = (a - b for a, b in zip(x, y, strict=True))
        if (left, right) == (-1, 1):
            self._narrow(part.op, -micros)
        elif (left, right) == (1, -1):
            self._narrow(_FLIPPED[part.op], micros)
        else:
            return False
        return True

    def _narrow(self, op: str, micros: int) -> None:
        """The difference is ``op`` than ``micros``; it is a whole number of units."""
        per_unit = US_PER_UNIT[self.unit]
        down, up = micros // per_unit, -(-micros // per_unit)
        if op in {"LE", "LT", "EQ"}:
            upper = up - 1 if op == "LT" else down
            self.upper = upper if self.upper is None else min(self.upper, upper)
        if op in {"GE", "GT", "EQ"}:
            lower = down + 1 if op == "GT" else up
            self.lower = lower if self.lower is None else max(self.lower, lower)

    def _linear(self, e: Expr) -> _Linear | None:
        """An expression as a sum of the event times and a constant; None for any other."""
        match e:
            case SideCol(side=side, attr=attr) if attr == self.time_attrs[side]:
                return (1, 0, 0) if side == LEFT else (0, 1, 0)
            case Literal(value=int(value)) | Param(value=int(value)) if e.type.kind == "INTERVAL":
                return (0, 0, value)
            case Literal(value=int(value)) | Param(value=int(value)) if e.type.is_integer:  # next to BIGINT event time
                return (0, 0, value * US_PER_UNIT[self.unit])
            case Call(op="NEG", args=(arg,)):
                x = self._linear(arg)
                return None if x is None else (-x[0], -x[1], -x[2])
            case Call(op="ADD" | "SUB", args=(first, second)):
                x, y = self._linear(first), self._linear(second)
                if x is None or y is None:
                    return None
                sign = 1 if e.op == "ADD" else -1
                return (x[LEFT] + sign * y[LEFT], x[RIGHT] + sign * y[RIGHT], x[2] + sign * y[2])
        return None
