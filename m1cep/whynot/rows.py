"""Filters, sliding aggregates, group windows: the rows or windows of which the fewest conditions were not true."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from m1cep.model.types import BIGINT
from m1cep.plan.ir import TRUE, WINDOW_END, WINDOW_START, Col, FilterPlan, OverPlan, WindowPlan
from m1cep.whynot.asking import answers, group_wording
from m1cep.whynot.questions import Questions, failing
from m1cep.whynot.report import Event, LeftOut, Near
from m1cep.whynot.wording import moment

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


def left_out(
    asker: Asker, told: Answers, source: Stream, key: tuple[Col, ...], where: Expr, rows: Sequence[Any]
) -> tuple[list[LeftOut], int, list[Any]]:
    """The events nearest to being let through by WHERE, how many it left out, and the rows that it let through."""
    if where is TRUE or not rows:
        return [], 0, list(rows)
    asked, hits = asker.each_row(source, key, where, rows)
    questions = asked.ask(where)
    out = scored(questions, hits)
    gone = {s.hit.position for s in out}
    nearest = [
        LeftOut(Event(s.hit.events[0], s.hit.event_time), told.findings(questions, s.values)) for s in out[:SHOWN]
    ]
    return nearest, len(out), [row for i, row in enumerate(rows) if i not in gone]


def nearest_rows(asker: Asker, told: Answers, plan: FilterPlan, rows: Sequence[Any]) -> list[Near]:
    """Of a filter: the rows of which the fewest conditions were not true."""
    asked, hits = asker.each_row(asker.rule.source, plan.key, plan.where, rows)
    questions = asked.ask(plan.where)
    return [
        Near(
            what=_count(questions, s.values),
            event=Event(s.hit.events[0], s.hit.event_time),
            findings=told.findings(questions, s.values),
            rank=s.rank[:5],
        )
        for s in scored(questions, hits)[:SHOWN]
    ]


def nearest_sums(asker: Asker, told: Answers, plan: OverPlan, rows: Sequence[Any]) -> list[Near]:
    """Of sliding aggregates: the rows at which they came nearest to the condition, no two of them within one frame."""
    asked = Questions(group_wording(plan, [w.agg for w in plan.windows], asker.rule.text))
    questions = asked.ask(plan.having)
    hits = asker.hits(replace(plan, having=TRUE, select=asked.outputs()), rows)
    span = max((w.frame.range or 0 for w in plan.windows), default=0)
    count = max((w.frame.rows or 0 for w in plan.windows), default=0)
    order = {hit.position: n for n, hit in enumerate(hits)}

    def overlap(a: Hit, b: Hit) -> bool:
        return abs(a.event_time - b.event_time) <= span or abs(order[a.position] - order[b.position]) <= count

    return [
        Near(
            what=_count(questions, s.values),
            event=Event(s.hit.events[-1], s.hit.event_time),
            findings=told.findings(questions, s.values),
            bound=(s.hit.event_time - span, s.hit.event_time) if span else None,
            rank=s.rank[:5],
        )
        for s in apart(scored(questions, hits), overlap)
    ]


def nearest_windows(asker: Asker, told: Answers, plan: WindowPlan, rows: Sequence[Any]) -> list[Near]:
    """Of group windows: those nearest to HAVING, no two of which overlap."""
    asked = Questions(group_wording(plan, plan.aggregates, asker.rule.text))
    questions = asked.ask(plan.having)
    unit = asker.rule.source.time_unit
    start = asked.value(Col(WINDOW_START, "window_start", BIGINT, nullable=False))
    end = asked.value(Col(WINDOW_END, "window_end", BIGINT, nullable=False))
    hits = asker.hits(replace(plan, having=TRUE, select=asked.outputs()), rows)

    def bounds(hit: Hit) -> tuple[int, int]:
        values = answers(hit)
        return values[start], values[end]

    def overlap(a: Hit, b: Hit) -> bool:
        return bounds(a)[0] < bounds(b)[1] and bounds(b)[0] < bounds(a)[1]

    return [
        Near(
            what=f"{_count(questions, s.values)} of the window from {moment(bounds(s.hit)[0], unit)} to "
            f"{moment(bounds(s.hit)[1], unit)}",
            findings=told.findings(questions, s.values),
            bound=bounds(s.hit),
            rank=s.rank[:5],
        )
        for s in apart(scored(questions, hits), overlap)
    ]


def _count(questions: Sequence[Question], values: Sequence[Any]) -> str:
    """``2 of 3 conditions are true``."""
    true = sum(values[q.index] is True for q in questions)
    return f"{true} of {len(questions)} condition{'s are' if len(questions) != 1 else ' is'} true"
