"""Row patterns: SQL text, and every way to match from a row on, the most preferred first (ISO/IEC 9075-2, 7.6 and 9.38).

A way is a tuple of ``Mapped``; ``ways(attempt, mapped)`` continues one by the pattern's own rows. The next row is the one after
those mapped so far, because rows of a match follow one another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, NamedTuple

from reference.expressions import View

MAX_STEPS = 30_000


class TooHardError(Exception):
    """Backtracking took more steps than a test has time for."""


class Mapped(NamedTuple):
    index: int
    name: str
    hidden: bool = False  # by {- -}


@dataclass
class Attempt:
    """One start row."""

    rows: list[dict]
    start: int
    define: dict
    subsets: dict
    within: int | None
    number: int
    time: str = "ts"
    steps: int = 0

    def in_time(self, index):
        return self.within is None or self.rows[index][self.time] - self.rows[self.start][self.time] < self.within

    def fits(self, name, mapped, index):
        """Whether the row satisfies the variable's condition, being mapped to it."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooHardError
        condition = self.define.get(name)
        pairs = (*((m.index, m.name) for m in mapped), (index, name))
        view = View(self.rows, pairs, (), self.subsets, self.number)
        return condition is None or condition.eval(view) is True


@dataclass(frozen=True)
class Var:
    name: str

    def sql(self):
        return self.name

    def ways(self, attempt, mapped):
        index = attempt.start + len(mapped)
        if index < len(attempt.rows) and attempt.in_time(index) and attempt.fits(self.name, mapped, index):
            yield (*mapped, Mapped(index, self.name))


@dataclass(frozen=True)
class Seq:
    parts: tuple

    def sql(self):
        return " ".join(f"({p.sql()})" if isinstance(p, Alt) else p.sql() for p in self.parts)

    def ways(self, attempt, mapped):
        if not self.parts:
            yield mapped
            return
        for after in self.parts[0].ways(attempt, mapped):
            yield from Seq(self.parts[1:]).ways(attempt, after)


@dataclass(frozen=True)
class Alt:
    parts: tuple

    def sql(self):
        return " | ".join(p.sql() for p in self.parts)

    def ways(self, attempt, mapped):
        for part in self.parts:
            yield from part.ways(attempt, mapped)


@dataclass(frozen=True)
class Loop:
    """``low`` to ``high`` times (None: no limit). An iteration beyond ``low`` that takes no row ends the loop."""

    part: Any
    low: int
    high: int | None
    greedy: bool = True

    def sql(self):
        inner = self.part.sql() if isinstance(self.part, Var) else f"({self.part.sql()})"
        return inner + self.quantifier() + "?" * (not self.greedy)

    def quantifier(self):
        known = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((self.low, self.high))
        if known is None and self.low == self.high:
            return f"{{{self.low}}}"
        return known or f"{{{self.low or ''},{self.high or ''}}}"

    def ways(self, attempt, mapped, count=0):
        if count < self.low:
            for after in self.part.ways(attempt, mapped):
                yield from self.ways(attempt, after, count + 1)
            return
        if not self.greedy:
            yield mapped
        if self.high is None or count < self.high:
            for after in self.part.ways(attempt, mapped):
                if len(after) == len(mapped):
                    yield after
                else:
                    yield from self.ways(attempt, after, count + 1)
        if self.greedy:
            yield mapped


@dataclass(frozen=True)
class Permute:
    parts: tuple

    def sql(self):
        return f"PERMUTE({', '.join(p.sql() for p in self.parts)})"

    def ways(self, attempt, mapped):
        yield from Alt(tuple(Seq(order) for order in permutations(self.parts))).ways(attempt, mapped)


@dataclass(frozen=True)
class Exclude:
    part: Any

    def sql(self):
        return f"{{- {self.part.sql()} -}}"

    def ways(self, attempt, mapped):
        for after in self.part.ways(attempt, mapped):
            yield after[: len(mapped)] + tuple(m._replace(hidden=True) for m in after[len(mapped) :])


@dataclass(frozen=True)
class Nothing:
    def sql(self):
        return "()"

    def ways(self, _attempt, mapped):
        yield mapped


@dataclass(frozen=True)
class Anchor:
    """``^``: before the partition's first row; ``$``: after its last."""

    kind: str

    def sql(self):
        return self.kind

    def ways(self, attempt, mapped):
        if attempt.start + len(mapped) == (0 if self.kind == "^" else len(attempt.rows)):
            yield mapped


@dataclass(frozen=True)
class Absent:
    """No row that satisfies the variable's condition from here on until the time is up; other rows pass."""

    name: str

    def sql(self):
        return f"ABSENT({self.name})"

    def ways(self, attempt, mapped):
        later = range(attempt.start + len(mapped), len(attempt.rows))
        if not any(attempt.in_time(i) and attempt.fits(self.name, mapped, i) for i in later):
            yield mapped


def children(pattern):
    if isinstance(pattern, Seq | Alt | Permute):
        return pattern.parts
    return (pattern.part,) if isinstance(pattern, Loop | Exclude) else ()


def names(pattern):
    """The variables, in order of their first occurrence."""
    own = [pattern.name] if isinstance(pattern, Var | Absent) else []
    return list(dict.fromkeys(own + [n for part in children(pattern) for n in names(part)]))


def may_be_empty(pattern):
    """Whether some way takes no row."""
    match pattern:
        case Var():
            return False
        case Seq(parts=inner) | Permute(parts=inner):
            return all(may_be_empty(p) for p in inner)
        case Alt(parts=inner):
            return any(may_be_empty(p) for p in inner)
        case Loop(part=part, low=low):
            return low == 0 or may_be_empty(part)
        case Exclude(part=part):
            return may_be_empty(part)
    return True


def rebuild(pattern, change):
    """The same tree with ``change`` applied to every part, from the leaves up."""
    if isinstance(pattern, Seq | Alt | Permute):
        pattern = replace(pattern, parts=tuple(rebuild(p, change) for p in pattern.parts))
    elif isinstance(pattern, Loop | Exclude):
        pattern = replace(pattern, part=rebuild(pattern.part, change))
    return change(pattern)
