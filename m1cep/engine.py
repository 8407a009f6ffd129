"""Events in, alerts out. Pure: no clock, no I/O; the same events give the same alerts whatever the batch cuts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from m1cep.channel import Oversight
from m1cep.errors import EngineError
from m1cep.layout import Layout
from m1cep.runtime.lookups import FixedLookups
from m1cep.runtime.seen import Seen
from m1cep.snapshot import check_rules, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.channel import Channel, Running
    from m1cep.errors import RuleFailure
    from m1cep.model.alert import Alert
    from m1cep.model.stream import Stream
    from m1cep.rule import Rule
    from m1cep.runtime.lookups import Lookups
    from m1cep.runtime.merge import LateRow


@dataclass(frozen=True, slots=True)
class Late:
    """An event that came behind the watermark and was not given to the rules.

    ``index`` is its position among the rows of that push, ``reason`` is ``late`` (older than its stream's lateness allows),
    ``idle`` (its stream had been read to its end, and others had gone on) or ``silence`` (time went on by ``Engine.advance``).
    """

    stream: str
    index: int
    row: Any
    event_time: int
    watermark: int
    reason: str


class Usage(NamedTuple):
    """What a rule has been given and has taken, see ``Engine.usage``.

    Attributes:
        rule: its id.
        events: rows of its source, since the engine's state began.
        alerts: likewise.
        timed_ns, timed_rows: of the batches that were timed.
    """

    rule: str
    events: int
    alerts: int
    timed_ns: int
    timed_rows: int


class Engine:
    """Runs rules over events.

    Example:
        >>> import m1cep
        >>> streams = m1cep.parse_streams('''CREATE TABLE orders (event_id STRING, account STRING, qty DOUBLE, ts TIMESTAMP(3),
        ...     WATERMARK FOR ts AS ts) PARTITIONED BY (account) WITH ('topic' = 'orders')''')
        >>> rule = m1cep.compile_rule("SELECT account, qty FROM orders WHERE qty > 5", streams)
        >>> engine = m1cep.Engine([rule])
        >>> [a.row for a in engine.push("orders", [{"event_id": "e1", "account": "a", "qty": 7, "ts": 1}])]
        [{'account': 'a', 'qty': 7.0}]

    Args:
        rules: what to run.
        lookups: lists and parameters for IN_LIST, PARAM and ``:name``; looked at before each batch for a new revision.
        isolate: a rule that fails on an event runs no more, the others go on; see ``take_failures``. Else the failure is raised.
        known: names of base streams that may be pushed although no rule knows of them.
        seen: an event that is a repetition (by ``event_id``, or by its contents where it has none) of one of the last ``seen``
            different events of its stream is dropped and counted, whatever its time; 0 looks for none.

    Attributes:
        events: taken in so far, without repetitions.
        late_events: of these, how many were late.
        duplicates: repetitions dropped.
        clock_ns: while it is set, the time that each rule takes is noted (``usage``). For those who have a clock.

    Raises:
        EngineError: two rules have one id, or declare one stream differently; a list or parameter is not there.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        lookups: Lookups | None = None,
        seen: int = 0,
        *,
        isolate: bool = False,
        known: Iterable[str] = (),
    ) -> None:
        self._oversight = Oversight([] if isolate else None)
        self._layout = Layout(rules, self._oversight, known)
        self._lookups: Lookups = FixedLookups() if lookups is None else lookups
        self._revision: int | None = None
        self._late: list[Late] = []
        self._window = seen
        self.events = 0
        self.late_events = 0
        self.duplicates = 0
        self._seen = {name: Seen(stream, seen) for name, stream in self._layout.streams.items()} if seen else {}
        self.clock_ns: Callable[[], int] | None = None
        self._look_up()

    def _look_up(self) -> None:
        """Give the rules lists and parameters as they are now. Between batches only: within one they do not change."""
        revision = self._lookups.revision
        if revision != self._revision:
            self._layout.look_up(self._lookups)
            self._revision = revision

    def replace(self, rules: Iterable[Rule]) -> None:
        """Go on with other rules. Those that run already, in the same version, go on where they stand; the others begin empty.

        What waits for its turn by event time is given to the new rules of the same source too. Between batches only.

        Args:
            rules: all that are to run from now on.

        Raises:
            EngineError: as for a new engine; then nothing has changed.
        """
        layout = Layout(rules, self._oversight)
        layout.look_up(self._lookups)
        layout.take_over(self._layout)
        self._layout = layout
        self._revision = None
        self._look_up()
        if self._window:
            kept = {name: seen for name, seen in self._seen.items() if name in layout.streams}
            self._seen = {name: kept.get(name) or Seen(s, self._window) for name, s in layout.streams.items()}

    def take_failures(self) -> list[RuleFailure]:
        """What rules have failed with since the last call. They run no more, and are not in snapshots."""
        if not self._oversight.failures:
            return []
        failures, self._oversight.failures = self._oversight.failures, []
        return failures

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that run."""
        return self._layout.rules

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the base streams that are read."""
        return frozenset(self._layout.streams)

    def push(self, stream: str, events: Iterable[Mapping[str, Any] | bytes | str]) -> list[Alert]:
        """Take events of a stream in, and give the alerts that are decided by now.

        Args:
            stream: name of a base stream.
            events: mappings or JSON texts, in any number. All or nothing with a bad event: the engine is as before.

        Raises:
            EventError: an event does not fit the stream; ``index`` says which.
            EngineError: there is no such stream.
            RuleFailure: a rule failed on an event. Some rules have seen the events and some have not: restore a snapshot.
        """
        known = self._stream(stream)
        if isinstance(events, Mapping | bytes | bytearray | memoryview | str):
            raise EngineError(
                f"expected a sequence of events, got one {type(events).__name__}: push({stream!r}, [event])"
            )
        return [] if known is None else self.push_rows(stream, known.decode_each(events))

    def push_rows(self, stream: str, rows: list[Any]) -> list[Alert]:
        """As ``push``, with rows that ``Stream.decode_many`` made. The list belongs to the engine from then on."""
        if self._stream(stream) is None or not rows:
            return []
        kept = self._seen[stream].fresh(rows) if self._seen else None
        if kept is not None:
            self.duplicates += len(rows) - len(kept)
            rows = [rows[i] for i in kept]
        self._look_up()
        self.events += len(rows)
        out: list[tuple[Any, ...]] = []
        late: dict[int, LateRow] = {}
        for channel in self._layout.by_input[stream]:
            for row in channel.take(stream, rows):
                late.setdefault(row.index, row)
            channel.run(out, self.clock_ns)
        if late:
            self.late_events += len(late)
            self._late.extend(
                Late(stream, i if kept is None else kept[i], r.row, r.time, r.watermark, r.reason)
                for i, r in sorted(late.items())
            )
        return self._alerts(out) if out else []

    def idle(self, stream: str) -> list[Alert]:
        """The stream is read to its end for now: until its next push it does not hold the others back."""
        return self._each(stream, lambda channel: channel.merge.idle(stream))

    def wake(self, stream: str) -> None:
        """The stream is no longer idle: events of it may be about to be pushed, perhaps after those of others."""
        for channel in self._layout.by_input.get(stream, ()):
            channel.merge.wake(stream)

    def reach(self, stream: str, time: int) -> list[Alert]:
        """The stream has come to ``time`` (in its unit), as if it had brought an event of that time; no longer idle."""
        return self._each(stream, lambda channel: channel.merge.reach(stream, time))

    def promise(self, stream: str, time: int) -> list[Alert]:
        """The stream will bring nothing older than ``time`` (in its unit). Such events are late, with the reason ``idle``."""
        return self._each(stream, lambda channel: channel.merge.promise(stream, time))

    def end(self, stream: str) -> list[Alert]:
        """The stream will bring nothing more."""
        return self._each(stream, lambda channel: channel.merge.end(stream))

    def advance(self, time_us: int) -> list[Alert]:
        """Time goes on without events: no stream will bring one older than ``time_us`` (epoch, microseconds).

        What waits for time to pass (an absence, the end of a window) fires as if an event of that time had come. Events that come
        all the same are late, with the reason ``silence``. The promise is part of the snapshot.
        """
        self._look_up()
        out: list[tuple[Any, ...]] = []
        for channel in self._layout.channels.values():
            channel.advance(time_us)
            channel.run(out, self.clock_ns)
        return self._alerts(out)

    @property
    def newest_us(self) -> int | None:
        """The highest event time that came or was promised (epoch, microseconds); None before the first."""
        return max((c.newest_us for c in self._layout.channels.values() if c.newest_us is not None), default=None)

    def watermark_us(self, stream: str) -> int | None:
        """Up to where the rules know that a stream has come (epoch, microseconds); None before its first event.

        For an idle stream that is where the others are.
        """
        found = [c.watermark_us(stream) for c in self._layout.by_input.get(stream, ())]
        known = [time_us for time_us in found if time_us is not None]
        return min(known) if known else None

    def waiting(self, stream: str) -> int:
        """Rows of a stream that wait for other streams to catch up in event time.

        It is 0 for a stream that others wait for: at least one that is not idle always is such, so a reader who leaves streams
        with many waiting rows unread for a while still gets on.
        """
        return max((c.merge.waiting(stream) for c in self._layout.by_input.get(stream, ())), default=0)

    def finish(self) -> list[Alert]:
        """End of input: everything that waits goes to the rules; complete matches are reported, open ones dropped."""
        self._look_up()
        out: list[tuple[Any, ...]] = []
        for channel in self._layout.channels.values():
            channel.finish(out)
        return self._alerts(out)

    def take_late(self) -> list[Late]:
        """The late events since the last call."""
        late, self._late = self._late, []
        return late

    def snapshot(self) -> bytes:
        """Everything that the engine remembers. Late events that were not taken yet are not part of it."""
        sources = [channel.state() for channel in self._layout.channels.values()]
        rules = [
            [running.rule.id, running.rule.version, channel.source.name, running.alerts, running.operator.state()]
            for channel, running in self._running()
        ]
        counts = [self.events, self.late_events, self.duplicates]
        return encode([counts, sources, rules, {name: seen.state() for name, seen in self._seen.items()}])

    @classmethod
    def restore(
        cls,
        rules: Iterable[Rule],
        blob: bytes,
        *,
        changed: bool = False,
        lookups: Lookups | None = None,
        seen: int = 0,
        isolate: bool = False,
        known: Iterable[str] = (),
    ) -> Engine:
        """An engine that goes on where ``snapshot`` was taken.

        Args:
            rules: the same as then, in any order.
            blob: the snapshot.
            changed: also take a snapshot of other rules: those that are the same go on, the others begin empty.
            lookups: as for a new engine; a snapshot holds none.
            seen: as for a new engine; it may be another number than then.
            isolate: as for a new engine.
            known: as for a new engine.

        Raises:
            EngineError: the bytes are no snapshot, or it is of other rules or differently declared streams.
        """
        engine = cls(rules, lookups, seen, isolate=isolate, known=known)
        (engine.events, engine.late_events, engine.duplicates), sources, saved, remembered = decode(blob)
        for name in engine._seen.keys() & remembered.keys():
            engine._seen[name].load(remembered[name])
        if not changed:
            check_rules(engine.rules, {rule_id: version for rule_id, version, *_ in saved})
        same: set[str] = set()
        for state in sources:
            channel = engine._layout.channels.get(state[0])
            if channel is None:
                continue
            if channel.state()[1] == state[1]:
                channel.load(state)
                same.add(state[0])
            elif not changed:
                raise EngineError(f"the snapshot was taken with another declaration of {state[0]!r}")
        states = {(rule_id, version): rest for rule_id, version, *rest in saved}
        for channel in engine._layout.channels.values():
            for running in channel.rules:
                found = states.get((running.rule.id, running.rule.version))
                if found is not None and found[0] in same:
                    running.alerts = found[1]
                    running.operator.load(found[2])
        return engine

    def counters(self) -> dict[str, dict[str, int]]:
        """Per rule: alerts, and what its operator counts (open attempts, keys, dropped attempts, suppressed matches)."""
        return {running.rule.id: _counts(running) for _, running in self._running()}

    def counters_of(self, rule: str) -> dict[str, int] | None:
        """The same of one rule; None when there is none. Takes time that grows with the keys that it remembers."""
        return next((_counts(running) for _, running in self._running() if running.rule.id == rule), None)

    def usage(self) -> list[Usage]:
        """What each rule was given and took. Costs the same whatever they remember."""
        return [
            Usage(running.rule.id, channel.position, running.alerts, running.timed_ns, running.timed_rows)
            for channel, running in self._running()
        ]

    def _running(self) -> Iterator[tuple[Channel, Running]]:
        return ((channel, running) for channel in self._layout.channels.values() for running in channel.rules)

    def _each(self, stream: str, act: Any) -> list[Alert]:
        if self._stream(stream) is None:
            return []
        self._look_up()
        out: list[tuple[Any, ...]] = []
        for channel in self._layout.by_input[stream]:
            act(channel)
            channel.run(out, self.clock_ns)
        return self._alerts(out)

    def _alerts(self, out: list[tuple[Any, ...]]) -> list[Alert]:
        out.sort(key=_order)
        return [running.alert(hit) for *_, running, hit in out]

    def _stream(self, name: str) -> Stream | None:
        """The stream, or None when it exists and no rule reads it."""
        stream = self._layout.streams.get(name)
        if stream is None and name not in self._layout.known:
            raise EngineError(f"there is no stream {name!r}: expected one of {', '.join(sorted(self._layout.known))}")
        return stream


#: All of an entry but the rule and its hit, which have no order.
_order = itemgetter(slice(6))


def _counts(running: Running) -> dict[str, int]:
    return {"alerts": running.alerts} | running.operator.counters()
