"""MATCH_RECOGNIZE as a whole: the loop over matches, where to go on after one, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reference.expressions import View
from reference.patterns import Attempt, names

ONE_ROW = "ONE ROW PER MATCH"
ALL_ROWS = "ALL ROWS PER MATCH"
OMIT_EMPTY = "ALL ROWS PER MATCH OMIT EMPTY MATCHES"
UNMATCHED = "ALL ROWS PER MATCH WITH UNMATCHED ROWS"


class SkipError(Exception):
    """AFTER MATCH SKIP to a variable without rows, or to the match's own first row."""


class Output(NamedTuple):
    """A row of the result, and the ids of the events behind it."""

    row: dict
    events: list[str]


@dataclass(frozen=True)
class Query:
    """The clauses. ``skip`` is "PAST LAST ROW", "TO NEXT ROW", "TO v", "TO FIRST v" or "TO LAST v"; ``within`` in ms."""

    pattern: Any
    define: dict = field(default_factory=dict)
    measures: dict = field(default_factory=dict)
    skip: str = "PAST LAST ROW"
    rows_per_match: str = ONE_ROW
    subsets: dict = field(default_factory=dict)
    within: int | None = None
    source: str = "letters"
    key: str = "k"
    time: str = "ts"

    def sql(self):
        used = names(self.pattern)
        lines = [
            f"SELECT * FROM {self.source} MATCH_RECOGNIZE (",
            f"  PARTITION BY {self.key} ORDER BY {self.time}",
            "  MEASURES " + ", ".join(f"{e.sql()} AS {name}" for name, e in self.measures.items()),
            f"  {self.rows_per_match} AFTER MATCH SKIP {self.skip}",
            f"  PATTERN ({self.pattern.sql()})" + (f" WITHIN {interval(self.within)}" if self.within else ""),
        ]
        if self.subsets:
            lines.append("  SUBSET " + ", ".join(f"{s} = ({', '.join(of)})" for s, of in self.subsets.items()))
        defined = [f"{v} AS {self.define[v].sql()}" for v in used if v in self.define]
        if defined:
            lines.append("  DEFINE " + ",\n         ".join(defined))
        return "\n".join([*lines, ")"])

    def run(self, rows):
        """The output of one partition, whose rows are in order.

        Raises:
            SkipError: there is no row to skip to, or it is the match's first.
            TooHardError: backtracking takes too long.
        """
        return list(self.outputs(rows))

    def outputs(self, rows):
        """As ``run``, one row after the other."""
        start, number, covered = 0, 0, 0
        while start < len(rows):
            attempt = Attempt(rows, start, self.define, self.subsets, self.within, number + 1, self.time)
            match = next(self.pattern.ways(attempt, ()), None)
            if match is None:
                if self.rows_per_match == UNMATCHED and start >= covered:
                    yield self._output(rows, start, dict.fromkeys(self.measures))
                start += 1
                continue
            number += 1
            yield from self._outputs(rows, start, match, number)
            if match:
                covered = max(covered, match[-1].index + 1)
            start = self._next(start, match)

    def _next(self, start, match):
        if not match or self.skip == "TO NEXT ROW":
            return start + 1
        if self.skip == "PAST LAST ROW":
            return match[-1].index + 1
        variable = self.skip.split()[-1]
        rows = [m.index for m in match if m.name in {variable, *self.subsets.get(variable, ())}]
        if not rows:
            raise SkipError(f"the match has no row of {variable}")
        target = rows[0] if self.skip.startswith("TO FIRST") else rows[-1]
        if target == start:
            raise SkipError(f"{variable} is at the first row of the match")
        return target

    def _outputs(self, rows, start, match, number):
        pairs = tuple((m.index, m.name) for m in match)
        if self.rows_per_match == ONE_ROW:
            key = {self.key: rows[start][self.key]}
            return [
                Output(key | self._values(rows, pairs, pairs, number), [rows[m.index].get("event_id") for m in match])
            ]
        if not match:
            shown = self.rows_per_match != OMIT_EMPTY
            values = self._values(rows, (), (), number)
            return [Output(dict(rows[start]) | values, [])] if shown else []
        return [
            self._output(rows, m.index, self._values(rows, pairs[: n + 1], pairs, number))
            for n, m in enumerate(match)
            if not m.hidden
        ]

    def _values(self, rows, mapped, match, number):
        view = View(rows, mapped, match, self.subsets, number)
        return {name: measure.eval(view) for name, measure in self.measures.items()}

    def _output(self, rows, index, values):
        return Output(dict(rows[index]) | values, [rows[index].get("event_id")])


def interval(ms):
    seconds, rest = divmod(ms, 1000)
    return f"INTERVAL '{seconds}' SECOND" if not rest else f"INTERVAL '{seconds}.{rest:03}' SECOND"
