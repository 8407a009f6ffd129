"""Joins: for each left row the right row that came nearest to being its partner, and what kept the two apart."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from m1cep.codegen.join import generate_join
from m1cep.errors import SourceText
from m1cep.model.joined import Joined
from m1cep.plan.ir import TRUE, conjunction
from m1cep.plan.join import RIGHT
from m1cep.whynot.questions import Answers, Questions, failing
from m1cep.whynot.report import Event, Finding, Near
from m1cep.whynot.wording import Wording, duration, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from m1cep.plan.join import JoinPlan, SideCol
    from m1cep.whynot.asking import Asker

    Entry = tuple[Any, ...]

SHOWN = 3
MAX_PAIRS = 200_000
_NEIGHBOURS = 20  # right rows of other keys looked at for a left row: those closest in time


@dataclass(slots=True)
class _Pair:
    rank: tuple[Any, ...]
    a: Entry
    b: Entry
    values: list[Any]


class NearestPairs:
    """Of a join: the nearest pairs; of one that tells absences, the partners that were there.

    Args:
        asker: the rule.
        plan: its plan.
        rows: all rows that may be of the right side, in event-time order.
    """

    def __init__(self, asker: Asker, plan: JoinPlan, rows: Iterable[Any]) -> None:
        self._plan = plan
        self._rule = asker.rule
        source = asker.rule.source
        self._streams = (source.left, source.right) if isinstance(source, Joined) else (source, source)
        self._unit = source.time_unit
        self._asked = Questions(Wording(asker.rule.text))
        # an absence is over as soon as ON holds; WHERE only says that it is an absence
        self._questions = self._asked.ask(conjunction([plan.on] if plan.absence else [plan.on, plan.where]))
        open_ = replace(plan, on=TRUE, where=TRUE, outer=False, absence=False, select=self._asked.outputs())
        module = asker.bind(generate_join(open_, *self._streams, f"why not {asker.rule.id}"))
        self._feed, self._values = module["feed"], module["pair"]
        self.cut = False
        self._budget = MAX_PAIRS
        self._right = self._entries(rows)[1]
        self._times = [b[0] for b in self._right]
        self._by_key: dict[Any, list[Entry]] = {}
        for b in self._right:
            self._by_key.setdefault(b[1], []).append(b)

    def _entries(self, rows: Iterable[Any]) -> tuple[list[Entry], list[Entry]]:
        """What the join keeps of rows that take part, left and right."""
        left: list[Entry] = []
        right: list[Entry] = []
        self._feed(lambda e, _i, _out: left.append(e), lambda e, _i, _out: right.append(e), enumerate(rows), [])
        return left, right

    def of(self, rows: Sequence[Any]) -> list[Near]:
        """The nearest pairs of a key's left rows."""
        found: list[_Pair | Entry] = []
        for a in self._entries(rows)[0]:
            if self._budget <= 0:
                self.cut = True
                break
            partners = self._by_key.get(a[1], [])[: self._budget] + self._close(a)
            self._budget -= len(partners)
            best = min((self._pair(a, b) for b in partners if b[2] != a[2]), key=lambda p: p.rank, default=None)
            if self._plan.absence and (best is None or best.rank[1]):
                continue  # nothing came: the rule told it
            if best is None:
                found.append(a)
            elif self._plan.absence or best.rank[1]:
                found.append(best)
        pairs = sorted((p for p in found if isinstance(p, _Pair)), key=lambda p: p.rank)
        lonely = [a for a in found if not isinstance(a, _Pair)]
        return [self._told(p) for p in pairs[:SHOWN]] + [self._nobody(a) for a in lonely[: SHOWN - len(pairs)]]

    def _close(self, a: Entry) -> list[Entry]:
        """Right rows of other keys within the bounds, the closest in time."""
        low, high = a[0] + self._plan.lower, a[0] + self._plan.upper
        inside = self._right[bisect_left(self._times, low) : bisect_right(self._times, high)]
        others = [b for b in inside if b[1] != a[1]]
        return sorted(others, key=lambda b: abs(b[0] - a[0]))[:_NEIGHBOURS]

    def _pair(self, a: Entry, b: Entry) -> _Pair:
        values = list(self._values(a, b).values())
        distance = b[0] - a[0]
        outside = max(self._plan.lower - distance, distance - self._plan.upper, 0)
        scores = [q.score(values) for q in self._questions]
        unequal = sum(x is None or x != y for x, y in zip(self._key(a), self._key(b), strict=True))
        untrue = unequal + (outside > 0) + failing(self._questions, values)
        late = outside / (outside + max(1, self._plan.upper - self._plan.lower))
        return _Pair((0, untrue, sum(scores) + late + unequal, 0, a[0], b[0]), a, b, values)

    def _key(self, entry: Entry) -> tuple[Any, ...]:
        return entry[1] if len(self._plan.key) > 1 else (entry[1],)

    # in words

    def _told(self, p: _Pair) -> Near:
        source = SourceText(self._rule.text, self._rule.id)
        findings = (*self._keys(p, source), self._time(p, source), *Answers(source).findings(self._questions, p.values))
        where = self._after(p.b[0] - p.a[0], "it")
        if self._plan.absence:
            what = f"{p.a[2]} has a partner: {p.b[2]}, {where}"
        else:
            what = f"{p.b[2]}, {where}, is nearest to {p.a[2]}"
        return Near(what, Event(p.b[2], p.b[0]), None, findings, bound=self._bound(p.a), rank=p.rank[:5])

    def _nobody(self, a: Entry) -> Near:
        what = f"nothing came on the other side for {a[2]}: no event with its key, and none within the bounds"
        return Near(what, Event(a[2], a[0]), missing=1, bound=self._bound(a), rank=(1, 0, 0.0, 0, a[0]))

    def _bound(self, a: Entry) -> tuple[int, int]:
        return a[0] + self._plan.lower, a[0] + self._plan.upper

    def _keys(self, p: _Pair, source: SourceText) -> list[Finding]:
        found = []
        wording = Wording(source.text)
        sides = zip(self._plan.left.key, self._plan.right.key, self._key(p.a), self._key(p.b), strict=True)
        for left, right, x, y in sides:
            equal = None if x is None or y is None else x == y
            word = {True: "is true", False: "is false", None: "is unknown"}[equal]
            names = wording.sql(left), wording.sql(right)
            why = f"{shown(x, left.type)} = {shown(y, right.type)} {word}"
            finding = _finding(source, left.pos, f"{names[0]} = {names[1]}", equal, why)
            found.append(replace(finding, values=dict(zip(names, (x, y), strict=True))))
        return found

    def _time(self, p: _Pair, source: SourceText) -> Finding:
        """The bound on the two event times; it may be written in several parts, so it is told in words."""
        plan, distance = self._plan, p.b[0] - p.a[0]
        a, b = (self._alias(side.key[0]) for side in (plan.left, plan.right))
        inside = plan.lower <= distance <= plan.upper
        beyond = max(plan.lower - distance, distance - plan.upper, 0)
        why = f"{b} came {self._after(distance, a)}"
        why += "" if inside else f": {duration(beyond, self._unit)} too {'late' if distance > plan.upper else 'early'}"
        sql = f"{b} comes from {_signed(plan.lower, self._unit)} to {_signed(plan.upper, self._unit)} after {a}"
        column = self._streams[RIGHT].time_column
        written = re.search(rf"\b{re.escape(b)}\s*\.\s*{re.escape(column)}\b", source.text, re.IGNORECASE)
        pos, length = written.span() if written else (plan.right.key[0].pos, 0)
        finding = _finding(source, pos, sql, inside, why, length - pos if written else 1)
        return replace(finding, values={"after": distance})

    def _after(self, distance: int, what: str) -> str:
        return f"{duration(abs(distance), self._unit)} {'before' if distance < 0 else 'after'} {what}"

    def _alias(self, column: SideCol) -> str:
        """What the rule calls the side of a column."""
        return Wording(self._rule.text).sql(column).partition(".")[0]


def _signed(span: int, unit: str) -> str:
    return f"{'-' if span < 0 else ''}{duration(abs(span), unit)}"


def _finding(source: SourceText, pos: int, sql: str, holds: bool | None, why: str, length: int = 1) -> Finding:
    line, column = source.position(pos)
    return Finding(sql, line, column, source.excerpt(pos, length), holds, why, {})
