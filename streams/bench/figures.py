"""What a benchmark found: sections of rows of figures, some with a target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: at least, or at most, ``bound``. From the design's chapter on speed."""

    figure: str
    bound: float
    at_least: bool

    def reached(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{self.figure.replace('_', ' ')} {'≥' if self.at_least else '≤'} {self.bound:g}"


def least(figure: str, bound: float) -> Target:
    """The figure is to be ``bound`` or more."""
    return Target(figure, bound, at_least=True)


def most(figure: str, bound: float) -> Target:
    """The figure is to be ``bound`` or less."""
    return Target(figure, bound, at_least=False)


@dataclass(frozen=True, slots=True)
class Row:
    """Figures by name; the unit is the last part of the name. Without figures, ``note`` says why."""

    what: str
    figures: dict[str, float]
    targets: tuple[Target, ...] = ()
    note: str = ""

    def judged(self) -> list[tuple[Target, bool]]:
        """The targets whose figure was measured, and whether it reaches them."""
        return [(t, t.reached(self.figures[t.figure])) for t in self.targets if t.figure in self.figures]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {"what": self.what} | self.figures
        if judged := self.judged():
            found["targets"] = [
                {"figure": t.figure, "at_least" if t.at_least else "at_most": t.bound, "reached": reached}
                for t, reached in judged
            ]
        return found | ({"note": self.note} if self.note else {})


@dataclass(frozen=True, slots=True)
class Section:
    """Rows measured together, by turns."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "title": self.title, "rows": [row.to_dict() for row in self.rows]}
