"""Walks the rows of one key of a row pattern slowly, attempt after attempt, and notes how far each got and what ended it.

It moves as ``runtime.threads`` does, with the same generated functions; it finds the same matches (tests say so). Beyond that it
goes on for a while when WITHIN has run out, to see what came too late.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from m1cep.plan.program import AT_END, DONE
from m1cep.runtime.report import Reporter, SkipError
from m1cep.runtime.suppress import Suppressor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.codegen.module import Module
    from m1cep.plan.plans import MatchPlan
    from m1cep.plan.program import Program

    Memory = tuple[Any, ...]
    Thread = tuple[int, Memory]

MATCH, BROKEN, TIMEOUT, END, PRESENT = "match", "broken", "timeout", "end", "present"
"""How an attempt ends: a match; a row that no variable takes; WITHIN; the events' end; a row that ABSENT forbids."""

_MAX_THREADS = 500
_OVERTIME = 2  # spans of WITHIN for which an attempt is followed after its time
MAX_STEPS = 400_000  # rows tried for variables, of all keys together


@dataclass(slots=True)
class Tried:
    """A row that did not fit where a thread stood."""

    state: int
    memory: Memory
    row: int


@dataclass(slots=True)
class Attempt:
    """What became of the attempt that began at row ``start``.

    Attributes:
        ending: how it ended.
        last: number of the row that ended it, or of the last row seen.
        path: states of the match, of the absence that did not hold, or of what came too late.
        missing: fewest rows that it still wanted.
        tried: the rows that did not fit where it stood when it wanted fewest.
        refused: of an attempt that was broken, what was tried on the row that broke it.
        reached, wanted: where it first wanted so few: its memory, and the state of the pattern in front of which it stood.
        late: number of the first row of ``path`` beyond WITHIN; None where there is none.
        overtime: WITHIN ran out, and with more time it would have been a match.
    """

    start: int
    ending: str = END
    last: int = 0
    path: list[int] = field(default_factory=list)
    missing: int = 1 << 30
    tried: list[Tried] = field(default_factory=list)
    refused: list[Tried] = field(default_factory=list)
    reached: Memory | None = None
    wanted: int | None = None
    late: int | None = None
    overtime: bool = False


class Budget:
    """Steps that may still be taken; a person waits."""

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.steps = steps
        self.cut = False  # ways to match were left out


class Walker:
    """The attempts of a pattern, with the functions generated for the rule."""

    def __init__(self, plan: MatchPlan, program: Program, module: Module, time_attr: str) -> None:
        self.plan = plan
        self.program = program
        self.tries = module["TRIES"]
        self.empty: Memory = module["EMPTY"]
        self.time_of = attrgetter(time_attr)
        self._reporter = Reporter(module, plan, program, time_attr, Suppressor(None))
        self.distance = _distances(program)

    def walk(self, rows: Sequence[Any], budget: Budget, until: int) -> list[Attempt]:
        """The attempts on the rows of a key, in order; none begins where a match has taken the rows.

        ``until`` is the event time that the events of all keys reach.
        """
        found: list[Attempt] = []
        start = 0
        while start < len(rows) and budget.steps > 0:
            attempt = self._attempt(rows, start, budget, until)
            found.append(attempt)
            if attempt.ending != MATCH:
                start += 1
                continue
            try:
                start = self._reporter.next_start(start, attempt.path)
            except SkipError:  # an error in SQL: the search ends
                break
        return found

    def _attempt(self, rows: Sequence[Any], start: int, budget: Budget, until: int) -> Attempt:
        walk = _Walk(self, rows, start, budget, until)
        walk.run()
        if walk.attempt.ending == TIMEOUT:
            walk.run_over()
        return walk.attempt


class _Walk:
    """One attempt on its way."""

    def __init__(self, walker: Walker, rows: Sequence[Any], start: int, budget: Budget, until: int) -> None:
        self.w = walker
        self.rows = rows
        self.budget = budget
        self.until = until
        self.attempt = Attempt(start, last=start)
        self.best: Any = None  # chain of the best match so far
        self.threads: list[Thread] = []
        program = walker.program
        for state in program.first if start == 0 else program.start:
            if state == DONE:
                self.best = ()
                break
            if state != AT_END:
                self.threads.append((state, walker.empty))

    def run(self) -> None:
        """Until it is decided."""
        w, a = self.w, self.attempt
        begin = w.time_of(self.rows[a.start])
        within = w.plan.within
        for number in range(a.start, len(self.rows)):
            if not self.threads:
                break
            if within is not None and w.time_of(self.rows[number]) - begin >= within:
                self._time_is_up(TIMEOUT)
                return
            a.last = number
            self._move(number)
        if self.threads:
            self._time_is_up(END)
        elif self.best is not None:
            self._matched(self.best)
        elif a.ending != PRESENT:
            a.ending = BROKEN

    def run_over(self) -> None:
        """Go on beyond WITHIN, to see whether the attempt was only too slow."""
        w, a = self.w, self.attempt
        within = w.plan.within
        assert within is not None
        limit = w.time_of(self.rows[a.start]) + (1 + _OVERTIME) * within
        missing, tried, reached, wanted, last = a.missing, a.tried, a.reached, a.wanted, a.last
        a.late = last + 1
        for number in range(last + 1, len(self.rows)):
            if not self.threads or self.best is not None or w.time_of(self.rows[number]) > limit:
                break
            self._move(number)
        if self.best is not None:
            a.path, a.overtime = _path(self.best), True
        a.missing, a.tried, a.reached, a.wanted, a.ending, a.last = missing, tried, reached, wanted, TIMEOUT, last

    def _time_is_up(self, ending: str) -> None:
        """No row comes any more that could go on with the attempt."""
        waits = self.w.program.waits
        for state, memory in self.threads:
            if state in waits or (state == AT_END and ending == END):
                self._matched(memory[0])
                return
        if self.best is not None:
            self._matched(self.best)
        else:
            self._open(ending)

    def _open(self, ending: str) -> None:
        """Not decided by a row. Where other keys' events have gone beyond WITHIN, that ended it."""
        w, a = self.w, self.attempt
        within = w.plan.within
        if within is not None and self.until - w.time_of(self.rows[a.start]) >= within:
            ending = TIMEOUT
        a.ending = ending

    def _matched(self, chain: Any) -> None:
        self.attempt.ending, self.attempt.path = MATCH, _path(chain)

    def _move(self, number: int) -> None:
        """Every thread takes the row, or ends."""
        w, a, row = self.w, self.attempt, self.rows[number]
        moved: list[Thread] = []
        refused: list[Tried] = []
        for state, memory in self.threads:
            if state == AT_END:
                continue
            self.budget.steps -= 1
            after = w.tries[state](row, memory, self.rows, number, state)
            if state in w.program.waits:
                self._wait(state, memory, after, number, moved)
            elif after is None:
                refused.append(Tried(state, memory, number))
                self._note(refused[-1])
            elif self._take(state, after, moved):
                break
        self.threads = self._distinct(moved)
        a.refused = refused if not self.threads else []

    def _wait(self, state: int, memory: Memory, after: Memory | None, number: int, moved: list[Thread]) -> None:
        """An absence holds as long as the row does not fit."""
        a = self.attempt
        if after is None:
            moved.append((state, memory))
            return
        a.ending, a.path, a.missing = PRESENT, _path(memory[0]), 0
        a.tried = [Tried(state, memory, number)]

    def _take(self, state: int, after: Memory, moved: list[Thread]) -> bool:
        """The row is taken. True when the pattern is complete: threads less preferred end."""
        for following in self.w.program.next[state]:
            if following == DONE:
                self.best = after[0]
                return True
            moved.append((following, after))
            self._nearer(following, after)
        return False

    def _nearer(self, state: int, memory: Memory) -> None:
        """A thread stands in front of ``state``."""
        a = self.attempt
        distance = self.w.distance[state] if state >= 0 else 0
        if distance < a.missing:
            a.missing, a.tried, a.reached, a.wanted = distance, [], memory, state

    def _note(self, tried: Tried) -> None:
        self._nearer(tried.state, tried.memory)
        if self.w.distance[tried.state] == self.attempt.missing:
            self.attempt.tried.append(tried)

    def _distinct(self, threads: list[Thread]) -> list[Thread]:
        seen: dict[Any, Thread] = {}
        for thread in threads:
            seen.setdefault((thread[0], thread[1][1:]), thread)
        kept = list(seen.values())
        if len(kept) > _MAX_THREADS:
            self.budget.cut = True
            del kept[_MAX_THREADS:]
        return kept


def _path(chain: Any) -> list[int]:
    """The states of a chain, oldest first."""
    path: list[int] = []
    while chain:
        chain, state = chain
        path.append(state)
    return path[::-1]


def path_of(memory: Memory) -> list[int]:
    """The states in which an attempt took its rows."""
    return _path(memory[0])


def _distances(program: Program) -> list[int]:
    """For each state, how many rows at least are still wanted in front of it; of an absence none."""
    far = 1 << 30
    distances = [0 if s in program.waits else far for s in range(len(program.labels))]
    changed = True
    while changed:
        changed = False
        for state, following in reversed([*enumerate(program.next)]):
            if state in program.waits:
                continue
            after = min((0 if n < 0 else distances[n] for n in following), default=far)
            if after < far and after + 1 < distances[state]:
                distances[state], changed = after + 1, True
    return distances
