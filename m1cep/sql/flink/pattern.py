"""A row pattern for Flink: a sequence of variables with quantifiers. Anything more it refuses, or takes for something else.

What is said here of Flink was tried with 2.3.0; its documentation has the rest (Pattern Recognition, Known Limitations).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from m1cep.plan.pattern import Absent, Alt, Anchor, Concat, Empty, Exclude, Pattern, Permute, Repeat, Var
from m1cep.sql.flink.overlap import can_both_hold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from sqlglot import exp

    from m1cep.sql.flink.report import Report

_REFUSED: dict[type, tuple[str, str]] = {
    Permute: ("PERMUTE", "write one rule for each order"),
    Exclude: ("{- exclusion -}", "it belongs to ALL ROWS PER MATCH, which Flink has not"),
    Anchor: ("^ and $", "Flink reads them and takes no notice: a stream has no first or last row there"),
    Absent: (
        "ABSENT",
        "Flink SQL says nothing of a match whose time ran out (its DataStream API can: TimedOutPartialMatchHandler)",
    ),
    Empty: ("the empty pattern ()", "leave it out"),
    Alt: ("alternation |", "write one rule for each alternative, or one variable with OR in its condition"),
}


@dataclass(frozen=True)
class Part:
    """A variable, and how often it may be taken; ``high`` None is without limit."""

    name: str
    low: int = 1
    high: int | None = 1
    greedy: bool = True
    pos: int = 0

    @property
    def fixed(self) -> bool:
        return self.low == self.high

    def __str__(self) -> str:
        """As it is written in PATTERN. Flink does not know ``{,m}``."""
        count = {(1, 1): "", (0, 1): "?", (0, None): "*", (1, None): "+"}.get(
            (self.low, self.high),
            f"{{{self.low}}}" if self.fixed else f"{{{self.low},{'' if self.high is None else self.high}}}",
        )
        return self.name + count + ("" if self.greedy or self.fixed else "?")


def parts(pattern: Pattern, report: Report) -> list[Part]:
    """The pattern as a sequence; what is none goes to the report."""
    return list(_parts(pattern, report))


def _parts(pattern: Pattern, report: Report) -> Iterator[Part]:
    match pattern:
        case Var(name=name, pos=pos):
            yield Part(name, pos=pos)
        case Concat(parts=inner):
            for part in inner:
                yield from _parts(part, report)
        case Repeat(part=Var(name=name, pos=pos), low=low, high=high, greedy=greedy):
            yield Part(name, low, high, greedy, pos)
        case Repeat(part=part, low=1, high=1):
            yield from _parts(part, report)
        case Repeat(part=part, pos=pos):
            why = "Flink repeats single variables only; a group that repeats a fixed number of times can be written out"
            report.cannot("a group with a quantifier", pos, f"{why}, with a variable of its own for each")
            yield from _parts(part, report)
        case _:
            what, why = _REFUSED[type(pattern)]
            report.cannot(f"{what} in PATTERN", _place(pattern), why)


def _place(pattern: Pattern) -> int:
    """Where a part stands: an alternation has no place of its own, but that of what it begins with."""
    inner = getattr(pattern, "parts", ())
    return getattr(pattern, "pos", 0) or (_place(inner[0]) if inner else 0)


def check_sequence(sequence: list[Part], report: Report) -> None:
    """Report a sequence that can match no row, and one whose end Flink does not take."""
    if not sequence:
        return
    if all(p.low == 0 for p in sequence):
        report.cannot("a pattern that may match no row", sequence[0].pos, "make one part obligatory: A+ instead of A*")
    last = sequence[-1]
    if last.greedy and not last.fixed:
        why = "Flink cannot tell when it is over; end it reluctantly, or with a variable for the row that does not fit"
        if last.high == 1:
            why = f"Flink reports the match before it looks at {last.name}; write one rule with it and one without"
        report.cannot("a greedy quantifier at the end of the pattern", last.pos, why, length=len(str(last)))
    for part, later in pairwise(sequence):
        if part.greedy and not part.fixed and part.high != 1 and later.low == 0:
            why = "Flink has no way on from there (MalformedPatternException)"
            report.cannot(f"the optional {later} after the greedy {part}", later.pos, why, length=len(str(later)))
    for part in sequence:
        if not part.greedy and (part.low, part.high) == (0, 1):
            report.cannot("the reluctant ??", part.pos, "Flink's optional variables have no such choice")


def check_choices(
    sequence: list[Part], define: Mapping[str, exp.Expr], params: Mapping[str, Any], report: Report
) -> None:
    """Report where Flink's choice among ways to match is another than SQL's.

    A greedy loop of Flink does not give rows back that the next variable could have had; its greedy ? is none.
    """
    for index, part in enumerate(sequence[:-1]):
        if part.fixed or not part.greedy:
            continue
        for later in sequence[index + 1 :]:
            if can_both_hold(define.get(part.name), define.get(later.name), (part.name, later.name), params):
                _report_choice(part, later, define, report)
                break
            if later.low > 0:
                break


def _report_choice(part: Part, later: Part, define: Mapping[str, exp.Expr], report: Report) -> None:
    if part.high == 1:
        what = (
            f"where a row fits {part.name} and {later.name} alike, Flink takes it for {later.name}, SQL for {part.name}"
        )
        report.differs(what, part.pos)
    elif part.name not in define and part.high is None:
        why = "every row fits it, and a greedy loop of Flink gives none back"
        report.cannot(
            f"{part}, greedy and without a condition", part.pos, f"{why}: nothing would ever match; try {part}?"
        )
    else:
        what = (
            f"where a row fits {part.name} and {later.name} alike, Flink keeps it for {part.name} and may find no match"
        )
        report.differs(what, part.pos, f"make sure that no row fits both, or write {part}?", length=len(str(part)))


def rows_before(sequence: list[Part]) -> dict[str, int]:
    """For each variable, how many rows of the match surely precede any row of it."""
    found: dict[str, int] = {}
    before = 0
    for part in sequence:
        found.setdefault(part.name, before)
        before += part.low
    return found
