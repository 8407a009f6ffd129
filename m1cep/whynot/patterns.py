"""The attempts of a row pattern that came nearest to a match."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from m1cep.plan.program import compile_program
from m1cep.whynot.attempts import BROKEN, MATCH, PRESENT, Attempt, Budget, Tried, Walker, path_of
from m1cep.whynot.probes import Probes
from m1cep.whynot.questions import failing
from m1cep.whynot.report import Event, Near, Step
from m1cep.whynot.wording import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from m1cep.plan.plans import MatchPlan
    from m1cep.whynot.asking import Asker
    from m1cep.whynot.questions import Answers, Question

SHOWN = 3
_LOOKED_AT = 1_000  # rows that did not fit, of one attempt


@dataclass(slots=True)
class _Candidate:
    """An attempt that was no match, before it is put in words."""

    attempt: Attempt
    rank: tuple[Any, ...]
    tried: Tried | None = None
    values: Sequence[Any] = ()
    questions: tuple[Question, ...] = ()


class NearestAttempts:
    """Of a pattern: the attempts that wanted the fewest rows more.

    Args:
        asker: the rule.
        plan: its plan.
        answers: puts conditions in words.
        budget: steps that may be taken, over all keys.
        until: the event time that the events of all keys reach.
    """

    def __init__(self, asker: Asker, plan: MatchPlan, answers: Answers, budget: Budget, until: int) -> None:
        stream = asker.rule.source
        self._plan = plan
        self._program = compile_program(plan.pattern)
        self._module, _ = asker.unsuppressed()
        self._walker = Walker(plan, self._program, self._module, stream.time_attr)
        self._probes = Probes(asker, plan, self._program)
        self._answers = answers
        self._budget = budget
        self._time_of = attrgetter(stream.time_attr)
        self._unit = stream.time_unit
        self._rows: Sequence[Any] = ()
        self._until = until

    def of(self, rows: Sequence[Any]) -> tuple[Near, ...]:
        """The nearest attempts on a key's rows (those that WHERE lets through, in event-time order)."""
        self._rows = rows
        attempts = self._walker.walk(rows, self._budget, self._until)
        found = [c for n, a in enumerate(attempts, 1) for c in self._candidates(a, n)]
        found.sort(key=lambda c: c.rank)
        if found and self._has_begun(found[0]):
            found = [c for c in found if self._has_begun(c)]
        near: dict[Any, Near] = {}
        for candidate in found:
            told = self._told(candidate)
            same = (told.variable, told.event, candidate.attempt.ending) if told.event else told.what
            if same in near:
                near[same] = replace(near[same], others=near[same].others + 1)
            elif len(near) < SHOWN:
                near[same] = told
            elif len(found) > 10 * SHOWN:
                break
        return tuple(near.values())

    def _has_begun(self, c: _Candidate) -> bool:
        """Whether it took a row; every row that does not begin a match is an attempt that did not."""
        return bool(self._path(c.attempt, c.tried))

    def _candidates(self, a: Attempt, number: int) -> Iterable[_Candidate]:
        if a.ending == MATCH:
            yield from self._refused_behind(a, number)
            return
        if a.overtime:
            within = self._plan.within or 1
            over = self._over(a) / within
            yield _Candidate(a, (0, 1, over, 0, a.start))
            return
        best = self._best(a.tried[:_LOOKED_AT])
        if a.ending == PRESENT and best is not None:
            left = self._left(a)
            yield replace(best, attempt=a, rank=(0, 1, left, 0, a.start))
            return
        if best is None:
            taken = 0 if a.reached is None else self._taken(path_of(a.reached))
            yield _Candidate(a, (a.missing, 1, 1.0, -taken, a.start))
        else:
            untrue, apart, taken, _ = best.rank
            yield replace(best, attempt=a, rank=(a.missing, untrue, apart, taken, a.start))

    def _best(self, tried: Iterable[Tried]) -> _Candidate | None:
        """The row that came nearest to fitting: fewest conditions not true, then the closest values, then the most rows taken."""
        best: _Candidate | None = None
        for t in tried:
            variable = self._program.labels[t.state]
            questions = self._probes.questions[variable]
            values = self._probes.ask(variable, self._rows[t.row], t.memory, self._rows, t.row, t.state)
            apart = sum(q.score(values) for q in questions)
            rank = (failing(questions, values), apart, -self._taken(path_of(t.memory)), t.row)
            if best is None or rank < best.rank:
                best = _Candidate(Attempt(0), rank, t, values, questions)
        return best

    def _refused_behind(self, a: Attempt, number: int) -> Iterable[_Candidate]:
        """A match of which WHERE behind the pattern is not true."""
        questions = self._probes.after_questions
        if not questions or not a.path:
            return
        module, first = self._module, a.start
        memories = [module["NOTHING"]]
        for j, state in enumerate(a.path, first):
            memories.append(module["MAPS"][state](self._rows[j], memories[-1], self._rows, j, state))
        shown = range(len(a.path)) if self._plan.all_rows else [len(a.path) - 1]
        key = module["key"](self._rows[first])
        best: _Candidate | None = None
        for i in shown:
            values = self._probes.after(memories[i + 1], memories[-1], key, number, self._rows[first + i])
            untrue = failing(questions, values)
            if not untrue:
                return
            rank = (0, untrue, sum(q.score(values) for q in questions), -len(a.path), a.start)
            if best is None or rank < best.rank:
                best = _Candidate(a, rank, None, values, questions)
        if best is not None:
            yield best

    def _taken(self, path: Iterable[int]) -> int:
        """Rows taken by variables that have a condition: OTHER*? says nothing."""
        return sum(bool(self._probes.questions[self._program.labels[state]]) for state in path)

    # in words

    def _told(self, c: _Candidate) -> Near:
        a, t = c.attempt, c.tried
        state = a.wanted if t is None else t.state
        variable = (
            None if state is None or state < 0 or a.overtime or a.ending == MATCH else self._program.labels[state]
        )
        begin, within = self._time_of(self._rows[a.start]), self._plan.within
        return Near(
            what=self._what(a, variable),
            event=None if t is None else self._event(self._rows[t.row]),
            variable=variable,
            findings=self._answers.findings(c.questions, c.values),
            steps=self._steps(a, self._path(a, t)),
            missing=0 if a.overtime or a.ending == MATCH else a.missing,
            bound=None if within is None else (begin, begin + within),
            ended=self._ended(a, c),
            rank=c.rank,
        )

    def _path(self, a: Attempt, t: Tried | None) -> Sequence[int]:
        """The states of what is shown as taken."""
        if a.overtime or a.ending in {MATCH, PRESENT}:
            return a.path
        memory = a.reached if t is None else t.memory
        return [] if memory is None else path_of(memory)

    def _steps(self, a: Attempt, path: Sequence[int]) -> tuple[Step, ...]:
        late = len(self._rows) if a.late is None else a.late
        steps = []
        for n, state in enumerate(path, a.start):
            variable = self._program.labels[state]
            free = not self._probes.questions[variable]
            steps.append(Step(variable, self._event(self._rows[n]), late=n >= late, free=free))
        return tuple(steps)

    def _ended(self, a: Attempt, shown: _Candidate) -> Near | None:
        """What came nearest on the row that broke an attempt, where that tells more than what is shown."""
        best = self._best(a.refused) if a.ending == BROKEN and shown.tried is not None else None
        if best is None or best.tried is None or shown.tried is None:
            return None
        if shown.tried.row == a.last and (best.tried.state == shown.tried.state or best.rank[:2] >= shown.rank[1:3]):
            return None
        variable, row = self._program.labels[best.tried.state], self._rows[a.last]
        findings = self._answers.findings(best.questions, best.values)
        return Near(f"{self._id(row)} is nearest to {variable}", self._event(row), variable, findings, rank=best.rank)

    def _what(self, a: Attempt, variable: str | None) -> str:
        within = self._plan.within
        begin = self._time_of(self._rows[a.start])
        match a.ending:
            case "match":
                return "complete, but WHERE behind the pattern is not true of it"
            case "present":
                came = self._span(self._time_of(self._rows[a.tried[0].row]) - begin)
                return f"{variable} came, {came} after the first event: its absence did not hold"
            case "timeout" if a.overtime:
                over, last = self._over(a), self._id(self._rows[a.start + len(a.path) - 1])
                span = self._span(within or 0)
                if not over:
                    return f"too late: {last} comes exactly {span} after the first event, and WITHIN excludes its end"
                return f"too late: complete only with {last}, {self._span(over)} after WITHIN ({span}) had run out"
            case "timeout":
                return f"no {variable} came before WITHIN ran out, {self._span(within or 0)} after the first event"
            case "end":
                rest = f", {self._span(begin + within - self._until)} before WITHIN runs out" if within else ""
                return f"no {variable} came before the events end{rest}: it is still open"
        if a.last == a.start:
            return f"no match begins with {self._id(self._rows[a.start])}"
        tried = dict.fromkeys(self._program.labels[t.state] for t in a.refused)
        return f"{self._id(self._rows[a.last])} ended it: it is no {' and no '.join(tried)}"

    def _over(self, a: Attempt) -> int:
        """How long after WITHIN had run out the last row came."""
        last = self._time_of(self._rows[a.start + len(a.path) - 1])
        return int(last - self._time_of(self._rows[a.start]) - (self._plan.within or 0))

    def _left(self, a: Attempt) -> float:
        """The share of WITHIN that an absence had still to hold."""
        within = self._plan.within or 1
        return float(1 - (self._time_of(self._rows[a.tried[0].row]) - self._time_of(self._rows[a.start])) / within)

    def _span(self, units: int) -> str:
        return duration(units, self._unit)

    def _id(self, row: Any) -> str:
        return str(self._module["event_id"](row))

    def _event(self, row: Any) -> Event:
        return Event(self._id(row), self._time_of(row))
