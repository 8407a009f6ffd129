"""Events in, the answer to "why did it not fire" out. As pure as the engine, and as exact; slower, and it keeps the rows.

It runs the rule as the engine does, behind the same merge, so that lateness and matches are the same; beside it, it keeps the
rows of the keys in question and asks of them afterwards what came near.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from m1cep.codegen.common import event_id_source
from m1cep.codegen.module import Source, load
from m1cep.codegen.view import view_converters
from m1cep.errors import RuleFailure, SourceText
from m1cep.model.joined import Joined
from m1cep.plan.ir import FilterPlan, MatchPlan, OverPlan, WindowPlan
from m1cep.plan.join import JoinPlan
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
from m1cep.whynot.rows import left_out, nearest_rows, nearest_sums, nearest_windows

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
        nearest, left_out_of, notes = self._questions()
        reports: list[KeyReport] = []
        for key, seen in self._keys.items():
            out, count, rows = left_out_of(seen.rows)
            reports.append(
                KeyReport(
                    key={c.name: v for c, v in zip(self._columns, key, strict=True)},
                    events=len(seen.rows),
                    matches=tuple(seen.matches),
                    near=tuple(nearest(rows)),
                    left_out=tuple(out),
                    left_out_count=count,
                    late=tuple(seen.late),
                )
            )
        reports.sort(key=lambda r: (not r.near, r.near[0].rank[:3] if r.near else (), str(r.key)))
        form = type(self._rule.plan).__name__.removesuffix("Plan").lower()
        unit = self._source.time_unit
        return WhyNot(self._rule.id, form, unit, tuple(reports[:MAX_KEYS]), len(reports), tuple(notes()))

    def _questions(
        self,
    ) -> tuple[
        Callable[[Sequence[Any]], Sequence[Near]],
        Callable[[Sequence[Any]], tuple[list[LeftOut], int, list[Any]]],
        Callable[[], list[str]],
    ]:
        """How to find the nearest of a key's rows, what WHERE left out of them, and what to say at the end."""
        asker, plan, source = self._asker, self._rule.plan, self._source
        told = Answers(SourceText(self._rule.text, self._rule.id))
        budget = Budget()
        pairs: NearestPairs | None = None
        nearest: Callable[[Sequence[Any]], Sequence[Near]]
        match plan:
            case FilterPlan():
                nearest = lambda rows: nearest_rows(asker, told, plan, rows)  # noqa: E731 - one of five
            case OverPlan():
                nearest = lambda rows: nearest_sums(asker, told, plan, rows)  # noqa: E731
            case WindowPlan():
                nearest = lambda rows: nearest_windows(asker, told, plan, rows)  # noqa: E731
            case MatchPlan():
                attempts = NearestAttempts(asker, plan, told, budget)
                nearest = lambda rows: attempts.of(rows, self._until)  # noqa: E731
            case JoinPlan():
                pairs = NearestPairs(asker, plan)
                right = pairs.entries(self._right)[1]
                nearest = lambda rows: pairs.of(pairs.entries(rows)[0], right)  # noqa: E731

        def out_of(rows: Sequence[Any]) -> tuple[list[LeftOut], int, list[Any]]:
            if isinstance(plan, JoinPlan):
                return self._left_out_of_join(plan, told, rows)
            if isinstance(plan, FilterPlan):
                return [], 0, list(rows)
            return left_out(asker, told, source, plan.key, plan.where, rows)

        return nearest, out_of, lambda: self._notes(budget, pairs)

    def _left_out_of_join(
        self, plan: JoinPlan, told: Answers, rows: Sequence[Any]
    ) -> tuple[list[LeftOut], int, list[Any]]:
        """What the subqueries of the two sides left out."""
        source = self._source
        if not isinstance(source, Joined):
            return [], 0, list(rows)  # a row that one side leaves out may be of the other
        found: list[LeftOut] = []
        count = 0
        for side, stream, own in (
            (plan.left, source.left, [r.left for r in rows if r.left is not None]),
            (plan.right, source.right, [r.right for r in rows if r.right is not None]),
        ):
            out, number, _ = left_out(self._asker, told, stream, side.key, side.where, own)
            found += out
            count += number
        return found, count, list(rows)

    def _notes(self, budget: Budget, pairs: NearestPairs | None) -> list[str]:
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
        if budget.steps <= 0:
            notes.append("there are too many attempts to follow all of them: the later ones are missing; name a key")
        if budget.cut:
            notes.append("some attempts have too many ways to match: only the most preferred were followed")
        if pairs is not None and pairs.cut:
            notes.append("there are too many pairs to look at all of them: the later ones are missing; name a key")
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
