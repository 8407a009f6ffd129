"""Filters, sliding aggregates, group windows: the rows or windows of which the fewest conditions were not true."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from m1cep.model.types import BIGINT
from m1cep.plan.ir import TRUE, WINDOW_END, WINDOW_START, Col
from m1cep.plan.plans import FilterPlan, OverPlan, WindowPlan
from m1cep.whynot.asking import answers, group_wording
from m1cep.whynot.questions import Questions, failing
from m1cep.whynot.report import Event, LeftOut, Near
from m1cep.whynot.wording import Wording, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from m1cep.model.stream import Stream
    from m1cep.plan.ir import Expr
    from m1cep.runtime.outcome import Hit
    from m1cep.whynot.asking import Asker
    from m1cep.whynot.questions import Answers, Question

SHOWN = 3


@dataclass(slots=True)
class Scored:
    """Answers, and how near they came."""

    rank: tuple[Any, ...]
    hit: Hit
    values: list[Any]


def scored(questions: Sequence[Question], hits: Iterable[Hit]) -> list[Scored]:
    """The hits of which some condition is not true, the nearest first."""
    found: list[Scored] = []
    for hit in hits:
        values = answers(hit)
        untrue = failing(questions, values)
        if untrue:
            distance = sum(q.score(values) for q in questions)
            found.append(Scored((0, untrue, distance, 0, hit.event_time, hit.position), hit, values))
    found.sort(key=lambda s: s.rank)
    return found


def apart(candidates: Iterable[Scored], overlap: Callable[[Hit, Hit], bool]) -> list[Scored]:
    """The nearest few that are not nearly the same."""
    kept: list[Scored] = []
    for c in candidates:
        if len(kept) == SHOWN:
            break
        if not any(overlap(c.hit, k.hit) for k in kept):
            kept.append(c)
    return kept


class EachRow:
    """A condition on rows one by one."""

    def __init__(self, asker: Asker, source: Stream, key: tuple[Col, ...], condition: Expr) -> None:
        asked = Questions(Wording(asker.rule.text))
        self.questions = asked.ask(condition)
        self._hits = asker.prepare(FilterPlan(source.name, key, TRUE, asked.outputs()), source)

    def untrue(self, rows: Sequence[Any]) -> list[Scored]:
        """The rows of which it is not true, the nearest first."""
        return scored(self.questions, self._hits(rows))


class LeftOutRows:
    """What WHERE leaves out."""

    def __init__(self, asker: Asker, told: Answers, source: Stream, key: tuple[Col, ...], where: Expr) -> None:
        self._each = None if where is TRUE else EachRow(asker, source, key, where)
        self._told = told

    def of(self, rows: Sequence[Any]) -> tuple[list[LeftOut], int, list[Any]]:
        """The events nearest to being let through, how many were left out, and the rows that were let through."""
        if self._each is None or not rows:
            return [], 0, list(rows)
        out = self._each.untrue(rows)
        gone = {s.hit.position for s in out}
        nearest = [
            LeftOut(Event(s.hit.events[0], s.hit.event_time), self._told.findings(self._each.questions, s.values))
            for s in out[:SHOWN]
        ]
        return nearest, len(out), [row for i, row in enumerate(rows) if i not in gone]


class NearestRows:
    """Of a filter: the rows of which the fewest conditions were not true."""

    def __init__(self, asker: Asker, told: Answers, plan: FilterPlan) -> None:
        self._each = EachRow(asker, asker.rule.source, plan.key, plan.where)
        self._told = told

    def of(self, rows: Sequence[Any]) -> list[Near]:
        """The nearest of a key's rows."""
        questions = self._each.questions
        return [
            Near(
                what=_count(questions, s.values),
                event=Event(s.hit.events[0], s.hit.event_time),
                findings=self._told.findings(questions, s.values),
                rank=s.rank[:5],
            )
            for s in self._each.untrue(rows)[:SHOWN]
        ]


class NearestSums:
    """Of sliding aggregates: the rows at which they came nearest to the condition, no two of them within one frame."""

    def __init__(self, asker: Asker, told: Answers, plan: OverPlan) -> None:
        asked = Questions(group_wording(plan, [w.agg for w in plan.windows], asker.rule.text))
        self._questions = asked.ask(plan.having)
        self._hits = asker.prepare(replace(plan, having=TRUE, select=asked.outputs()))
        self._told = told
        self._span = max((w.frame.range or 0 for w in plan.windows), default=0)
        self._count = max((w.frame.rows or 0 for w in plan.windows), default=0)

    def of(self, rows: Sequence[Any]) -> list[Near]:
        """The nearest of a key's rows."""
        hits, span = self._hits(rows), self._span
        order = {hit.position: n for n, hit in enumerate(hits)}

        def overlap(a: Hit, b: Hit) -> bool:
            near = abs(order[a.position] - order[b.position]) <= self._count
            return near or abs(a.event_time - b.event_time) <= span

        return [
            Near(
                what=_count(self._questions, s.values),
                event=Event(s.hit.events[-1], s.hit.event_time),
                findings=self._told.findings(self._questions, s.values),
                bound=(s.hit.event_time - span, s.hit.event_time) if span else None,
                rank=s.rank[:5],
            )
            for s in apart(scored(self._questions, hits), overlap)
        ]


class NearestWindows:
    """Of group windows: those nearest to HAVING, no two of which overlap."""

    def __init__(self, asker: Asker, told: Answers, plan: WindowPlan) -> None:
        asked = Questions(group_wording(plan, plan.aggregates, asker.rule.text))
        self._questions = asked.ask(plan.having)
        self._start = asked.value(Col(WINDOW_START, "window_start", BIGINT, nullable=False))
        self._end = asked.value(Col(WINDOW_END, "window_end", BIGINT, nullable=False))
        self._hits = asker.prepare(replace(plan, having=TRUE, select=asked.outputs()))
        self._told = told
        self._unit = asker.rule.source.time_unit

    def of(self, rows: Sequence[Any]) -> list[Near]:
        """The nearest windows of a key's rows."""
        return [self._near(s) for s in apart(scored(self._questions, self._hits(rows)), self._overlap)]

    def _near(self, s: Scored) -> Near:
        start, end = self._bounds(s.hit)
        window = f"from {moment(start, self._unit)} to {moment(end, self._unit)}"
        return Near(
            what=f"{_count(self._questions, s.values)} of the window {window}",
            findings=self._told.findings(self._questions, s.values),
            bound=(start, end),
            rank=s.rank[:5],
        )

    def _bounds(self, hit: Hit) -> tuple[int, int]:
        values = answers(hit)
        return values[self._start], values[self._end]

    def _overlap(self, a: Hit, b: Hit) -> bool:
        (start, end), (other_start, other_end) = self._bounds(a), self._bounds(b)
        return bool(start < other_end and other_start < end)


def _count(questions: Sequence[Question], values: Sequence[Any]) -> str:
    """``2 of 3 conditions are true``."""
    true = sum(values[q.index] is True for q in questions)
    return f"{true} of {len(questions)} condition{'s are' if len(questions) != 1 else ' is'} true"
