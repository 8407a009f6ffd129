"""The rules on one source: rows in event-time order to each of them, and hits to alerts."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from m1cep.codegen.view import view_converters
from m1cep.errors import RuleFailure, SourceText
from m1cep.model.alert import Alert, AlertIds, clip_event_ids
from m1cep.runtime.batch import Batch
from m1cep.runtime.lookups import deciding
from m1cep.runtime.merge import Merge
from m1cep.snapshot import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from m1cep.codegen.view import Convert
    from m1cep.model.stream import Stream
    from m1cep.rule import Rule
    from m1cep.runtime.lookups import Lookups
    from m1cep.runtime.merge import LateRow
    from m1cep.runtime.outcome import Hit

_WORTH_AN_INDEX = 3  # rules on one source from which an index of each batch pays for itself


@dataclass
class Oversight:
    """How an engine looks after its rules.

    Attributes:
        failures: gets what a rule fails with, which then runs no more while the others go on; None: the failure is raised.
    """

    failures: list[RuleFailure] | None = None


class Running:
    """A rule and its running instance."""

    def __init__(self, rule: Rule, index: int) -> None:
        self.rule = rule
        self.index = index
        self.module = rule.module.instance()
        self.operator = rule.start(self.module)
        self.key_dict = self.module["key_dict"]
        self._ids = AlertIds(rule.id, rule.version)
        self._lists: dict[str, str] = {}
        self._params: dict[str, str] = {}
        self.alerts = 0
        self.timed_ns = 0  # of the batches that were timed, and their rows
        self.timed_rows = 0

    @property
    def looks_up(self) -> bool:
        """Whether the rule reads lists or parameters."""
        return bool(self.module.bindings or self.rule.matter.params)

    def look_up(self, values: dict[str, Any], lookups: Lookups) -> None:
        """From now on lists and parameters are these; ``values`` is what ``bound`` made of them for this rule."""
        if self.module.bindings:
            self.module.namespace.update(values)
        self._lists, self._params = deciding(self.rule.needs, lookups)

    def alert(self, hit: Hit) -> Alert:
        """The alert of a match."""
        rule = self.rule
        key = self.key_dict(hit.key)
        self.alerts += 1
        events = hit.events
        alert_id = self._ids.of(key, events if hit.identity is None else hit.identity)
        ids = clip_event_ids(events)
        return Alert(alert_id, rule.id, rule.severity, key, hit.row, hit.event_time, ids, self._lists, self._params)

    def failure(self, error: Exception) -> RuleFailure:
        """The error with the SQL that it came from."""
        module, offset = self.rule.module, None
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename == module.filename and frame.lineno is not None:
                before = [line for line in module.offsets if line <= frame.lineno]
                offset = module.offsets[max(before)] if before else None
        return RuleFailure(self.rule.id, SourceText(self.rule.text, self.rule.id), offset, error)


class Channel:
    """The rules on one source (a stream or a view), and the merge that orders its rows."""

    def __init__(self, index: int, source: Stream, inputs: Sequence[Stream], oversight: Oversight) -> None:
        self.index = index
        self._oversight = oversight
        self.source = source
        self.inputs = inputs
        self.merge = Merge(inputs, source.time_attr)
        self._unit_us = 1 if source.time_unit == "us" else 1000
        self.convert: dict[str, Convert] = (
            view_converters(source, {s.name: s for s in inputs}) if source.is_view else {}
        )
        self.rules: list[Running] = []
        self.position = 0
        self._indexed: set[str] = set()

    def take(self, stream: str, rows: list[Any]) -> list[LateRow]:
        return self.merge.take(stream, rows, self.convert.get(stream))

    def advance(self, time_us: int) -> None:
        """See ``Engine.advance``; rows older than it by less than the source's unit are not late."""
        self.merge.advance(time_us // self._unit_us)

    @property
    def newest_us(self) -> int | None:
        """See ``Engine.newest_us``."""
        newest = self.merge.newest
        return None if newest is None else newest * self._unit_us

    def watermark_us(self, stream: str) -> int | None:
        """See ``Engine.watermark_us``."""
        watermark = self.merge.watermark_of(stream)
        return None if watermark is None else watermark * self._unit_us

    def run(self, out: list[tuple[Any, ...]], clock_ns: Callable[[], int] | None = None) -> None:
        """Give the rules what the merge lets go; (order, rule, hit) of every match goes to ``out``.

        With a clock, the time that each rule takes is noted.
        """
        rows, watermark = self.merge.release()
        batch = Batch(rows, self.position, self._indexed)
        alone = len(self.rules) < _WORTH_AN_INDEX
        failed: list[Running] = []
        since_ns = 0 if clock_ns is None else clock_ns()
        for running in self.rules:
            hits: list[Hit] = []
            try:
                if rows:
                    running.operator.feed(batch, hits, alone=alone)
                running.operator.advance(watermark, hits)
            except Exception as error:  # noqa: BLE001 - whatever a rule fails with
                self._note(running, error)
                failed.append(running)
            if hits:
                self._collect(running, hits, out)
            if clock_ns is not None:
                now_ns = clock_ns()
                running.timed_ns += now_ns - since_ns
                running.timed_rows += len(rows)
                since_ns = now_ns
        self.position += len(rows)
        if failed:
            self.rules = [running for running in self.rules if running not in failed]

    def finish(self, out: list[tuple[Any, ...]]) -> None:
        """Let everything go and close what is open."""
        for stream in self.merge.streams:
            self.merge.end(stream.name)
        self.run(out)
        for running in self.rules:
            hits: list[Hit] = []
            try:
                running.operator.finish(hits)
            except Exception as error:  # noqa: BLE001 - as in ``run``
                self._note(running, error)
            self._collect(running, hits, out)

    def _note(self, running: Running, error: Exception) -> None:
        """A rule has failed: end with it, or go on without it."""
        failure = running.failure(error)
        if self._oversight.failures is None:
            raise failure from error
        failure.__cause__ = error
        self._oversight.failures.append(failure)

    def state(self) -> Any:
        """Where the merge stands, and the rows that wait in it."""
        return [self.source.name, self._fingerprint(), self.position, self.merge.state()]

    def _fingerprint(self) -> str:
        return fingerprint([self.source, *self.inputs] if self.source.is_view else [self.source])

    def load(self, state: Any) -> None:
        """The reverse."""
        _, _, self.position, merge = state
        self.merge.load(merge, self.source.row_type)

    # -- when other rules take the places of some

    def reads_like(self, other: Channel) -> bool:
        """Whether both read events alike, so that the rules of the one may go on in the other."""
        return self._fingerprint() == other._fingerprint()

    def begin_at(self, stream: str, others: Iterable[Channel]) -> None:
        """A stream is as far as other channels, which read it before, have heard; nothing that waits there comes here."""
        for other in others:
            self.merge.begin_at(stream, other.merge)

    def silent_in(self, other: Channel) -> int:
        """Up to when somebody has promised that nothing older comes, in the unit of another channel."""
        silent = self.merge.silent
        return silent if self._unit_us == other._unit_us else silent * self._unit_us // other._unit_us

    def _collect(self, running: Running, hits: list[Hit], out: list[tuple[Any, ...]]) -> None:
        index, of_rule = self.index, running.index
        out += [(h.time, h.by_row, index, h.position, of_rule, n, running, h) for n, h in enumerate(hits)]
