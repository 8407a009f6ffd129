"""Events in, the answer to "why did it not fire" out. As pure as the engine, and as exact; slower, and it keeps the rows.

It runs the rule as the engine does, behind the same merge, so that lateness and matches are the same; beside it, it keeps the
rows of the keys in question and asks of them afterwards what came near.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from m1cep.codegen.common import event_id_source
from m1cep.codegen.module import Source, load
from m1cep.codegen.view import view_converters
from m1cep.errors import RuleFailure, SourceText
from m1cep.model.joined import Joined
from m1cep.plan.ir import TRUE
from m1cep.plan.join import JoinPlan
from m1cep.plan.plans import FilterPlan, MatchPlan, OverPlan, WindowPlan
from m1cep.runtime.batch import Batch
from m1cep.runtime.lookups import FixedLookups
from m1cep.runtime.merge import Merge
from m1cep.whynot.asking import Asker
from m1cep.whynot.attempts import Budget
from m1cep.whynot.keys import AskedKeys
from m1cep.whynot.pairs import NearestPairs
from m1cep.whynot.patterns import NearestAttempts
from m1cep.whynot.questions import Answers
from m1cep.whynot.report import Event, KeyReport, LateEvent, Match, WhyNot
from m1cep.whynot.rows import LeftOutRows, NearestRows, NearestSums, NearestWindows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from m1cep.model.stream import Stream
    from m1cep.plan.ir import Col
    from m1cep.rule import Rule
    from m1cep.runtime.lookups import Lookups
    from m1cep.runtime.merge import LateRow
    from m1cep.runtime.outcome import Hit, Operator
    from m1cep.whynot.report import LeftOut, Near

MAX_ROWS = 100_000
"""Rows kept, of all keys asked for together: an answer is for a person to read, and takes time for each of them."""

MAX_KEYS = 10
"""Keys told of."""

_ELSEWHERE = 5  # other keys named when none is as asked


class _Nearest(Protocol):
    """Finds what came nearest of a key's rows (those that WHERE lets through, in event-time order)."""

    def of(self, rows: Sequence[Any]) -> Sequence[Near]:
        """The nearest first."""


@dataclass
class _Key:
    """What was seen of one key."""

    rows: list[Any] = field(default_factory=list)
    late: list[LateEvent] = field(default_factory=list)
    matches: list[Match] = field(default_factory=list)


class Inquiry:
    """Asks one rule about one key, some, or all.

    Args:
        rule: the rule.
        key: values of key columns, as text or as they are; only keys with these values are asked about. None: all keys.
        lookups: lists and parameters, as for the engine.

    Raises:
        EngineError: the rule has no such key column; a list or parameter is not there.
    """

    def __init__(self, rule: Rule, key: Mapping[str, Any] | None = None, lookups: Lookups | None = None) -> None:
        self._rule = rule
        self._asker = Asker(rule, FixedLookups() if lookups is None else lookups)
        self._words = Answers(SourceText(rule.text, rule.id))
        self._source = rule.source
        self._columns: tuple[Col, ...] = rule.plan.key
        self._asked = AskedKeys(rule, key or {})
        self._merge = Merge(rule.inputs, rule.source.time_attr)
        streams = {s.name: s for s in rule.inputs}
        self._convert = view_converters(rule.source, streams) if rule.source.is_view else {}
        self._told = self._asker.started()
        self._all = self._asker.unsuppressed()
        self._hits: tuple[list[Hit], list[Hit]] = ([], [])
        self._position = 0
        self._until = 0  # event time of the newest row of any key
        self._keys: dict[Any, _Key] = {}
        self._right: list[Any] = []  # of a join: rows of the right, whatever their key
        self._elsewhere: dict[tuple[Any, ...], None] = {}  # some keys that were not asked about
        self._kept = 0
        self._dropped = 0
        self._event_ids: dict[str, Callable[[Any], str]] = {s.name: _event_id(s) for s in rule.inputs}

    # events in, as into the engine

    def push_rows(self, stream: str, rows: list[Any]) -> None:
        """Rows of a base stream, as ``Stream.decode_many`` makes them."""
        if stream in self._event_ids and rows:
            for row in self._merge.take(stream, rows, self._convert.get(stream)):
                self._note_late(stream, row)
            self._run()

    def push(self, stream: str, events: Sequence[Mapping[str, Any] | bytes]) -> None:
        """Events of a base stream.

        Raises:
            EventError: one does not fit.
        """
        decoder = next((s.decoder for s in self._rule.inputs if s.name == stream), None)
        if decoder is not None:
            rows = [decoder.decode(e) if isinstance(e, bytes | str) else decoder.convert(e) for e in events]
            self.push_rows(stream, rows)

    def end(self, stream: str) -> None:
        """The stream will bring nothing more."""
        if stream in self._event_ids:
            self._merge.end(stream)
            self._run()

    def finish(self) -> WhyNot:
        """End of input: the answer."""
        for stream in self._rule.inputs:
            self._merge.end(stream.name)
        self._run()
        self._guarded(lambda operator, out: operator.finish(out))
        self._note_matches()
        return self._answer()

    def _run(self) -> None:
        rows, watermark = self._merge.release()
        for row in rows:
            self._keep(row)
        if rows:
            self._until = attrgetter(self._source.time_attr)(rows[-1])

        def take(operator: Operator, out: list[Hit]) -> None:
            if rows:
                operator.feed(Batch(rows, self._position), out)
            operator.advance(watermark, out)

        self._guarded(take)
        self._position += len(rows)

    def _guarded(self, act: Callable[[Operator, list[Hit]], None]) -> None:
        """Both ways of running the rule: as it is, and telling what ``suppress`` keeps back."""
        try:
            for (_, operator), out in zip((self._told, self._all), self._hits, strict=True):
                act(operator, out)
        except Exception as error:
            source = SourceText(self._rule.text, self._rule.id)
            raise RuleFailure(self._rule.id, source, None, error) from error

    def _keep(self, row: Any) -> None:
        key = self._asked.key_of(row)
        right = self._asked.is_right(row)
        if right and self._kept < MAX_ROWS:
            self._right.append(row)
            self._kept += not self._asked.wants(key)
        if not self._asked.wants(key):
            if len(self._elsewhere) < _ELSEWHERE:
                self._elsewhere[key] = None
            return
        if self._kept >= MAX_ROWS:
            self._dropped += 1
            return
        self._kept += 1
        self._keys.setdefault(key, _Key()).rows.append(row)

    def _note_late(self, stream: str, late: LateRow) -> None:
        convert = self._convert.get(stream)
        for row in [late.row] if convert is None else convert([late.row]):
            key = self._asked.key_of(row)
            if self._asked.wants(key):
                event = Event(self._event_ids[stream](late.row), late.time)
                self._keys.setdefault(key, _Key()).late.append(LateEvent(event, stream, late.watermark, late.reason))

    def _note_matches(self) -> None:
        told = {(h.key, h.event_time, tuple(h.events), str(h.identity)) for h in self._hits[0]}
        for h in self._hits[1]:
            key = self._asked.as_tuple(h.key)
            if self._asked.wants(key):
                quiet = (h.key, h.event_time, tuple(h.events), str(h.identity)) not in told
                self._keys.setdefault(key, _Key()).matches.append(Match(h.event_time, tuple(h.events), h.row, quiet))

    # the answer

    def _answer(self) -> WhyNot:
        budget = Budget()
        nearest, out_of = self._nearest(budget), self._left_out()
        reports: list[KeyReport] = []
        for key, seen in self._keys.items():
            out, count, rows = out_of(seen.rows)
            reports.append(
                KeyReport(
                    key={c.name: v for c, v in zip(self._columns, key, strict=True)},
                    events=len(seen.rows),
                    matches=tuple(seen.matches),
                    near=tuple(nearest.of(rows)),
                    left_out=tuple(out),
                    left_out_count=count,
                    late=tuple(seen.late),
                )
            )
        reports.sort(key=lambda r: (not r.near, r.near[0].rank[:3] if r.near else (), str(r.key)))
        form = type(self._rule.plan).__name__.removesuffix("Plan").lower()
        notes = self._notes(budget, cut=isinstance(nearest, NearestPairs) and nearest.cut)
        return WhyNot(
            self._rule.id, form, self._source.time_unit, tuple(reports[:MAX_KEYS]), len(reports), tuple(notes)
        )

    def _nearest(self, budget: Budget) -> _Nearest:
        """What finds the nearest of a key's rows."""
        asker, plan = self._asker, self._rule.plan
        match plan:
            case FilterPlan():
                return NearestRows(asker, self._words, plan)
            case OverPlan():
                return NearestSums(asker, self._words, plan)
            case WindowPlan():
                return NearestWindows(asker, self._words, plan)
            case MatchPlan():
                return NearestAttempts(asker, plan, self._words, budget, self._until)
            case JoinPlan():
                return NearestPairs(asker, plan, self._right)

    def _left_out(self) -> Callable[[Sequence[Any]], tuple[list[LeftOut], int, list[Any]]]:
        """What tells what WHERE leaves out of a key's rows."""
        plan, source = self._rule.plan, self._source
        if isinstance(plan, JoinPlan):
            return self._left_out_of_sides(plan)
        where = TRUE if isinstance(plan, FilterPlan) else plan.where  # of a filter it is what is asked about
        return LeftOutRows(self._asker, self._words, source, plan.key, where).of

    def _left_out_of_sides(self, plan: JoinPlan) -> Callable[[Sequence[Any]], tuple[list[LeftOut], int, list[Any]]]:
        """What the subqueries of a join's two sides leave out."""
        source = self._source
        if not isinstance(source, Joined):
            return lambda rows: ([], 0, list(rows))  # a row that one side leaves out may be of the other
        left = LeftOutRows(self._asker, self._words, source.left, plan.left.key, plan.left.where)
        right = LeftOutRows(self._asker, self._words, source.right, plan.right.key, plan.right.where)

        def of(rows: Sequence[Any]) -> tuple[list[LeftOut], int, list[Any]]:
            out, count, _ = left.of([r.left for r in rows if r.left is not None])
            more, further, _ = right.of([r.right for r in rows if r.right is not None])
            return out + more, count + further, list(rows)

        return of

    def _notes(self, budget: Budget, *, cut: bool) -> list[str]:
        notes = []
        if not self._keys:
            others = "; ".join(
                ", ".join(f"{c.name}={v}" for c, v in zip(self._columns, k, strict=True)) for k in self._elsewhere
            )
            notes.append("no event of such a key came" + (f"; there were others, such as {others}" if others else ""))
        if self._dropped:
            notes.append(
                f"{self._dropped} rows beyond the first {MAX_ROWS} were not looked at for near misses: name a key, or give "
                "fewer events; matches are complete"
            )
        remedy = "the later ones are missing; name a key, or give fewer events"
        if budget.steps <= 0:
            notes.append(f"there are too many attempts to follow all of them: {remedy}")
        if budget.cut:
            notes.append("some attempts have too many ways to match: only the most preferred were followed")
        if cut:
            notes.append(f"there are too many pairs to look at all of them: {remedy}")
        dropped = self._told[1].counters().get("dropped", 0)
        if dropped:
            notes.append(f"{dropped} attempts were given up at the rule's max_open or max_rows (see its front matter)")
        return notes


def _event_id(stream: Stream) -> Callable[[Any], str]:
    out = Source()
    out.add("def event_id(r):")
    out.add(f"return {event_id_source(stream)}", indent=1)
    found: Callable[[Any], str] = load(out, f"ids of {stream.name}", {})["event_id"]
    return found
