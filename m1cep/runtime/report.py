"""From a match (its first row, and the states in which its rows were taken) to alerts: measures, SELECT, ids."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from m1cep.runtime.outcome import Hit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.codegen.module import Module
    from m1cep.plan.plans import MatchPlan
    from m1cep.plan.program import Program
    from m1cep.runtime.partition import Partition
    from m1cep.runtime.suppress import Suppressor

    When = tuple[int, int, int]  # time, by_row, position of a Hit


class SkipError(ValueError):
    """AFTER MATCH SKIP TO a row that would find the same match again, or to a variable without rows: an error in SQL."""


class Reporter:
    """Measures matches of one rule and makes hits of them."""

    def __init__(
        self, module: Module, plan: MatchPlan, program: Program, time_attr: str, suppressor: Suppressor
    ) -> None:
        self._maps = module["MAPS"]
        self._nothing = module["NOTHING"]
        self._measured: bool = module["MEASURED"]
        self._having = module["having"]
        self._select = module["select"]
        self._event_id = module["event_id"]
        self._plan = plan
        self._labels = program.labels
        self._excluded = program.excluded
        self._time_of = attrgetter(time_attr)
        self._suppressor = suppressor
        self._members = plan.members(plan.skip_to)

    def report(
        self,
        partition: Partition,
        key: Any,
        start: int,
        path: Sequence[int],
        when: When,
        out: list[Hit],
        event_time: int | None = None,
    ) -> None:
        """A match of the rows from number ``start``, taken in the states ``path``; of no rows when that is empty."""
        partition.matches += 1
        partition.covered = max(partition.covered, start + max(1, len(path)))
        if self._plan.all_rows:
            self._all_rows(partition, key, start, path, when, out)
            return
        log, first = partition.log, start - partition.base
        memory = self._nothing
        if self._measured:
            maps = self._maps
            for j, state in enumerate(path, first):
                memory = maps[state](log[j], memory, log, j, state)
        rows = log[first : first + len(path)]
        time = event_time if event_time is not None else self._time_of(rows[-1] if rows else log[first])
        number = partition.matches
        if self._having(memory, memory, key, number, None) and self._suppressor.allows(key, time):
            ids = list(map(self._event_id, rows))
            identity = None if rows else ["", self._event_id(log[first])]
            out.append(Hit(*when, key, self._select(memory, memory, key, number, None), time, ids, identity))

    def _all_rows(
        self, partition: Partition, key: Any, start: int, path: Sequence[int], when: When, out: list[Hit]
    ) -> None:
        log, first, number = partition.log, start - partition.base, partition.matches
        if not path:
            if self._plan.rows != "ALL ROWS OMIT EMPTY":
                self._row(log[first], key, number, when, [], out)
            return
        memories = [self._nothing]
        for j, state in enumerate(path, first):
            memories.append(self._maps[state](log[j], memories[-1], log, j, state))
        last = memories.pop()
        memories = [*memories[1:], last]
        rows = log[first : first + len(path)]
        shown = [
            (row, memory)
            for row, memory, state in zip(rows, memories, path, strict=True)
            if state not in self._excluded and self._having(memory, last, key, number, row)
        ]
        if shown and self._suppressor.allows(key, self._time_of(rows[-1])):
            ends = [self._event_id(rows[0]), self._event_id(rows[-1])]
            for row, memory in shown:
                out.append(self._hit(row, memory, last, key, number, when, [self._event_id(row)], ends))

    def unmatched(self, partition: Partition, key: Any, number: int, when: When, out: list[Hit]) -> None:
        """A row that belongs to no match."""
        row = partition.log[number - partition.base]
        self._row(row, key, None, when, [self._event_id(row)], out)

    def _row(self, row: Any, key: Any, number: int | None, when: When, events: list[str], out: list[Hit]) -> None:
        """A row without measures: of an empty match, or of none."""
        nothing = self._nothing
        if self._having(nothing, nothing, key, number, row) and self._suppressor.allows(key, self._time_of(row)):
            out.append(self._hit(row, nothing, nothing, key, number, when, events, ["", self._event_id(row)]))

    def _hit(
        self,
        row: Any,
        memory: Any,
        last: Any,
        key: Any,
        number: int | None,
        when: When,
        events: list[str],
        about: list[str],
    ) -> Hit:
        shown = self._select(memory, last, key, number, row)
        return Hit(*when, key, shown, self._time_of(row), events, [*about, *events])

    def next_start(self, start: int, path: Sequence[int]) -> int:
        """The number of the row at which the search goes on after a match.

        Raises:
            SkipError: it would not go on.
        """
        plan = self._plan
        if not path or plan.skip == "TO NEXT ROW":
            return start + 1
        if plan.skip == "PAST LAST ROW":
            return start + len(path)
        places = [i for i, state in enumerate(path) if self._labels[state] in self._members]
        where = f"AFTER MATCH SKIP {plan.skip} {plan.skip_to}"
        if not places:
            msg = f"{where}: no row of this match is mapped to {plan.skip_to}"
            raise SkipError(msg)
        place = places[0] if plan.skip == "TO FIRST" else places[-1]
        if place == 0:
            msg = f"{where}: that is the first row of this match, which would be found for ever"
            raise SkipError(msg)
        return start + place
