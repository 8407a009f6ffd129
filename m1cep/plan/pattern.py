"""Row patterns as trees (SQL:2016, part 2, 7.6 <row pattern>)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Var:
    """A variable: one row."""

    name: str
    pos: int = 0


@dataclass(frozen=True, slots=True)
class Concat:
    """One after the other."""

    parts: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    """The first alternative that leads to a match."""

    parts: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """``low`` to ``high`` times (None: without limit); as many as possible when greedy."""

    part: Pattern
    low: int
    high: int | None
    greedy: bool = True
    pos: int = 0


@dataclass(frozen=True, slots=True)
class Permute:
    """All orders of the parts, in lexicographic preference."""

    parts: tuple[Pattern, ...]
    pos: int = 0


@dataclass(frozen=True, slots=True)
class Exclude:
    """``{- part -}``: matched, left out of ALL ROWS PER MATCH."""

    part: Pattern
    pos: int = 0


@dataclass(frozen=True, slots=True)
class Anchor:
    """``^``: before the partition's first row; ``$``: after its last."""

    kind: str
    pos: int = 0


@dataclass(frozen=True, slots=True)
class Empty:
    """``()``: no row."""

    pos: int = 0


@dataclass(frozen=True, slots=True)
class Absent:
    """``ABSENT(v)``: no row of the variable until WITHIN runs out."""

    name: str
    pos: int = 0


Pattern: TypeAlias = Var | Concat | Alt | Repeat | Permute | Exclude | Anchor | Empty | Absent


def variables(pattern: Pattern) -> Iterator[Var]:
    """Every occurrence of a variable, from left to right."""
    match pattern:
        case Var():
            yield pattern
        case Absent(name=name, pos=pos):
            yield Var(name, pos)
        case Concat(parts=parts) | Alt(parts=parts) | Permute(parts=parts):
            for part in parts:
                yield from variables(part)
        case Repeat(part=part) | Exclude(part=part):
            yield from variables(part)
