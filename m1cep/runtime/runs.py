"""Row patterns whose conditions look back over runs of rows, such as ``A+ B`` with B against AVG(A.qty).

Attempts that begin in the same run of A's take every later row in the same way, until a condition asks what each of them has
taken. So they stay one group, that knows how its rows were labelled: closed runs, and the one under way.

    rows      A1  A2  A3  A4  B          starts 1, 2, 3, 4 in one group, with the run  A from the start to now
    B asks    SUM(A4) SUM(A3,A4) ...     one pass from the newest row back gives the memory of every start

A row that fits no variable whose condition looks back moves the group, whatever its size. One that does is tried on each
attempt, the oldest first: with SKIP PAST LAST ROW the first that completes makes an end of the others.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from m1cep.runtime.groups import GroupMatcher, GroupPartition, _merged

if TYPE_CHECKING:
    from m1cep.runtime.groups import States

    Memory = tuple[Any, ...]


class Runs(NamedTuple):
    """How the rows of an attempt were labelled: from its first row to ``ends[0]`` (exclusive) ``taken_in[0]``, and so on; the
    last run is under way. Labels are given as a state that has the label.
    """

    taken_in: tuple[int, ...]
    ends: tuple[int, ...]

    def then(self, state: int, number: int) -> Runs:
        """With row ``number`` labelled as ``state``."""
        if self.taken_in and self.taken_in[-1] == state:
            return self
        return Runs((*self.taken_in, state), (*self.ends, number) if self.taken_in else ())

    def path(self, start: int, end: int) -> list[int]:
        """The states of rows ``start`` to ``end``, inclusive."""
        path: list[int] = []
        for state, until in zip(self.taken_in, (*self.ends, end + 1), strict=True):
            path += [state] * (until - start - len(path))
        return path


NO_RUNS = Runs((), ())


class Group(NamedTuple):
    """Attempts that stand in the same states, and whose rows were labelled alike; ``runs`` by place in ``states``."""

    states: States
    runs: tuple[Runs, ...]


class RunMatcher(GroupMatcher):
    """As GroupMatcher, for patterns in which no two ways lead to one state and that begin with a loop."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        module, program = args[2], self._program
        self._tries = module["TRIES"]
        self._backs = module["BACKS"]
        self._empty: Memory = module["EMPTY"]
        self._dynamic: int = module["DYNAMIC"]
        self._only_oldest = False  # attempts differ in what they have taken
        same: dict[tuple[str, bool], int] = {}
        self._label = [
            same.setdefault((label, state in program.excluded), state) for state, label in enumerate(program.labels)
        ]
        self._asks: dict[States, int] = {}  # bits of the variables in a list whose conditions look back
        self._same: dict[tuple[Group, int], Group | None] = {}

    def _asked(self, states: States) -> int:
        """Bits of the variables in a list whose conditions look back."""
        asked = self._asks.get(states)
        if asked is None:
            asked = 0
            for state in states:
                asked |= self._bit_of[state] & self._dynamic
            self._asks[states] = asked
        return asked

    def _move_all(self, p: GroupPartition, row: Any, number: int, fits: int) -> bool:
        groups: dict[Group, deque[int]] = p.groups  # type: ignore[assignment]  # here groups have runs
        after: dict[Group, deque[int]] = {}
        lost: list[int] = []
        completed: int | None = None
        if any(fits & self._asked(group.states) for group in groups):
            answers = self._ask(p, groups, row, number, fits)
        else:
            answers = [(group, fits, starts) for group, starts in groups.items()]
        for group, bits, starts in answers:
            completed = self._move_group(p, group, starts, number, bits, after, lost, completed)
        p.groups = after  # type: ignore[assignment]
        if completed is not None:
            self._cover(p, completed)
        for start in lost:
            if start in p.best and (completed is None or start <= completed):
                self._over(p, start)
        return completed is not None

    def _move_group(
        self,
        p: GroupPartition,
        group: Group,
        starts: deque[int],
        number: int,
        fits: int,
        after: dict[Group, deque[int]],
        lost: list[int],
        completed: int | None,
    ) -> int | None:
        """Move one group; the oldest attempt completed so far by this row, where those after it do not count."""
        to = self._same.get((group, fits))
        if to is None:
            move = self._moves.get((group.states, fits)) or self._work_out(group.states, fits)
            if move.done >= 0:
                runs = group.runs[move.done].then(self._label[group.states[move.done]], number)
                oldest = starts[0]
                if self._past_last:
                    if completed is None or oldest < completed:
                        completed = oldest
                        p.best[oldest] = (number, runs)
                else:
                    for start in starts:
                        p.best[start] = (number, runs)
            if move.to is None:
                lost.extend(starts)
                return completed
            states = group.states
            runs_to = tuple(group.runs[x].then(self._label[states[x]], number) for x in move.parents)
            to = Group(move.to, runs_to)
            if to == group and move.done < 0 and not any(r.ends for r in runs_to):
                self._same[group, fits] = to
        after[to] = _merged(after[to], starts) if to in after else starts
        return completed

    def _ask(
        self, p: GroupPartition, groups: dict[Group, deque[int]], row: Any, number: int, fits: int
    ) -> list[tuple[Group, int, deque[int]]]:
        """Split groups by what the conditions that look back say of each attempt. Groups with the oldest start come first."""
        answers: list[tuple[Group, int, deque[int]]] = []
        for group, starts in sorted(groups.items(), key=lambda item: item[1][0]):
            asked = fits & self._asked(group.states)
            if not asked:
                answers.append((group, fits, starts))
                continue
            split: dict[int, deque[int]] = {}
            for start, bits in self._answers(p, group, starts, row, number, fits, asked):
                split.setdefault(bits, deque()).append(start)
            answers.extend((group, bits, found) for bits, found in split.items())
        return answers

    def _answers(
        self, p: GroupPartition, group: Group, starts: deque[int], row: Any, number: int, fits: int, asked: int
    ) -> list[tuple[int, int]]:
        """(start, bits) of each attempt of a group, oldest first, up to the first that completes where those after it do not
        count.
        """
        log, j = p.log, number - p.base
        memories: dict[Runs, dict[int, Memory]] = {}
        found: list[tuple[int, int]] = []
        for start in starts:
            bits = fits & ~asked
            for place, state in enumerate(group.states):
                bit = self._bit_of[state]
                if not bit & asked or bits & bit:
                    continue
                runs = group.runs[place]
                if runs not in memories:
                    memories[runs] = self._memories(p, runs, starts, number)
                if self._tries[state](row, memories[runs][start], log, j, state) is not None:
                    bits |= bit
            found.append((start, bits))
            if self._past_last:
                move = self._moves.get((group.states, bits)) or self._work_out(group.states, bits)
                if move.done >= 0:
                    break
        return found

    def _memories(self, p: GroupPartition, runs: Runs, starts: deque[int], number: int) -> dict[int, Memory]:
        """What each attempt has taken: one pass from the newest row back to the oldest start."""
        log, base, wanted = p.log, p.base, set(starts)
        memory = self._empty
        found: dict[int, Memory] = {}
        ends, place = runs.ends, len(runs.ends)
        back = self._backs[runs.taken_in[place]]
        for n in range(number - 1, starts[0] - 1, -1):
            while place and n < ends[place - 1]:
                place -= 1
                back = self._backs[runs.taken_in[place]]
            memory = back(log[n - base], memory, log, n - base)
            if n in wanted:
                found[n] = memory
        return found

    def _begin(self, p: GroupPartition, row: Any, time: int, number: int, fits: int) -> None:
        states = self._program.start
        asked = fits & self._asked(states)
        if asked:
            log, j = p.log, number - p.base
            fits &= ~asked
            for state in states:
                bit = self._bit_of[state]
                if bit & asked and self._tries[state](row, self._empty, log, j, state) is not None:
                    fits |= bit
        move = self._moves.get((states, fits)) or self._work_out(states, fits)
        if move.done >= 0:
            p.best[number] = (number, NO_RUNS.then(self._label[states[move.done]], number))
        if move.to is not None:
            group = Group(move.to, tuple(NO_RUNS.then(self._label[states[x]], number) for x in move.parents))
            groups: dict[Group, deque[int]] = p.groups  # type: ignore[assignment]
            if group in groups:
                groups[group].append(number)
            else:
                groups[group] = deque((number,))
            if self._within is not None:
                p.expires = min(p.expires, time + self._within)
        elif move.done >= 0:
            self._over(p, number)

    def _path(self, p: GroupPartition, start: int, end: Any) -> list[int]:
        number, runs = end
        path: list[int] = runs.path(start, number)
        return path

    def _save(self, p: GroupPartition) -> Any:
        groups = [[list(g.states), list(g.runs), list(starts)] for g, starts in p.groups.items()]  # type: ignore[attr-defined]
        return [p.fits, groups, list(p.best.items()), list(p.ends.items())]

    def _restore(self, p: GroupPartition, saved: Any) -> None:
        p.fits, groups, best, ends = saved
        p.groups = {
            Group(tuple(states), tuple(_runs(r) for r in runs)): deque(starts)  # type: ignore[misc]
            for states, runs, starts in groups
        }
        p.best = {start: (number, _runs(runs)) for start, (number, runs) in best}
        p.ends = {start: (number, _runs(runs)) for start, (number, runs) in ends}
        p.ready = sorted(p.ends)
        self._expect(p)


def _runs(saved: Any) -> Runs:
    return Runs(*map(tuple, saved))
