"""The risk agent: batches of events through the rules to alerts, dead letters and late events."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from faust.types import TP

from m1cep import Engine, RuleFailure
from streams import codec
from streams.agents.arrivals import Arrivals
from streams.agents.lanes import LaneReader, Step
from streams.agents.lanewatch import SLACK_US, watch_lanes
from streams.agents.librarian import as_before, follow_library, held_until_s
from streams.agents.measures import watermark_lag_ms
from streams.agents.partition import Outcome, fresh_records, source_of
from streams.agents.stats import AgentStats, RuleStats
from streams.agents.tally import RuleTally
from streams.cache.content import Content, Pinned, usable
from streams.cache.library import as_library
from streams.errors import ShellError
from streams.rekey import all_rekeyed, over_lanes, read_directly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from m1cep import Alert, Stream
    from streams.agents.context import AgentContext
    from streams.agents.host import Host
    from streams.transport import Batch, Record

_SOURCE = "/m1cep/risk"
#: Rules are told of time in silence at most so often, by event time.
_STEP_US = 100_000
#: Events are of now when their time and that of their record, written by producer or broker, differ by no more.
_LIVE_US = 60_000_000


class RiskPartition:
    """One engine, and the positions of the topics up to which it has read.

    Args:
        positions: the next offset of each topic.
        engine: its state is that of the positions.
        streams: the stream of each topic that is read as it is.
        lanes: the readers of re-keyed topics; their state is that of the positions.
        live: see :class:`Partition`.
        lookups: the engine's; they change when ``adopt`` says so, and their versions are part of the state.
    """

    def __init__(
        self,
        positions: Mapping[str, int],
        engine: Engine,
        streams: Mapping[str, Stream],
        lanes: Iterable[LaneReader] = (),
        *,
        live: bool = False,
        lookups: Pinned | None = None,
    ) -> None:
        self.positions = dict(positions)
        self._engine = engine
        self._tally, self._arrivals = RuleTally(engine), Arrivals()
        self._lookups = Pinned(Content()) if lookups is None else lookups
        self.offered: Content | None = None  # what ``adopt`` was given last
        self.refused: dict[str, str] = {}  # by label of a list or parameter, why its change was not taken over
        self.held_until_s: float | None = None  # until then, what is read again is judged as it was (the loop's clock)
        self._streams = streams
        self._lanes = {reader.topic: reader for reader in lanes}
        self._newest_us: int | None = None  # that a lane has reached
        self._asked_us: int | None = None  # the same, when the ends of the sources were asked for
        self._promised: tuple[int, list[tuple[str, Stream]]] | None = None  # up to when, and for which lanes
        self._untouched = False  # nothing has come from a lane since
        self._idle = False  # all lanes are idle, and the engine was told so
        self.live = live
        self._names = {topic: stream.name for topic, stream in streams.items()}
        # An event may be as much behind as its stream declares, and be in time.
        read = [*streams.values(), *(reader.source for reader in self._lanes.values())]
        self._delay_us = max(s.delay if s.time_unit == "us" else s.delay * 1000 for s in read)
        self._us = frozenset(rule.id for rule in engine.rules if rule.source.time_unit == "us")
        self._actions = {rule.id: rule.action for rule in engine.rules if rule.action != "alert"}
        self._wake()  # what a snapshot says of silence was long ago

    def take(self, batch: Batch) -> Outcome:
        """Decode the batch's records that are new and push them.

        Raises:
            ShellError: records are missing between the last batch and this one, or a rule fails.
        """
        position = self.positions[batch.topic]
        records = fresh_records(batch, position)
        outcome = Outcome()
        if records:
            self._tally.time_batch()
            try:
                if batch.topic in self._lanes:
                    self._push_lanes(self._lanes[batch.topic], records, outcome)
                else:
                    self._push(self._streams[batch.topic], records, lambda i: source_of(batch, records[i]), outcome)
            except RuleFailure as failure:
                first, last = records[0].offset, records[-1].offset
                where = f"offsets {first} to {last} of {batch.topic} partition {batch.partition}"
                raise _failed(failure, where) from failure
            self._judge(records[-1].timestamp)
        self.positions[batch.topic] = max(position, batch.next)
        return outcome

    def _judge(self, record_ms: int | None) -> None:
        """Whether events are live. Those of a file or of a test, with times of their own, know nothing of clocks."""
        newest_us = self._arrivals.newest_us
        if newest_us is not None and record_ms is not None:
            self.live = abs(record_ms * 1000 - newest_us) <= _LIVE_US

    def idle(self, topic: str) -> Outcome:
        """Let the merge by event time go on without waiting for ``topic``."""
        outcome = Outcome()
        if topic not in self._lanes:  # of these ``sources_end`` decides
            self._go_on(topic, outcome, self._engine.idle, self._streams[topic].name)
        return outcome

    def before_asking(self) -> None:
        """The ends of the sources are about to be asked for."""
        self._asked_us, self._untouched = self._newest_us, True

    def sources_end(self, ends: Mapping[TP, int]) -> Outcome | None:
        """Go on without waiting for lanes that are silent.

        Args:
            ends: where the partitions of the sources end, asked for after ``before_asking``; without those that nobody knows.

        Returns:
            None when nothing has changed.
        """
        silent = [
            (topic, lane)
            for topic, reader in self._lanes.items()
            for number, lane in enumerate(reader.lanes)
            if reader.silent(number, ends.get(TP(reader.source.topic, number)))
        ]
        outcome = Outcome()
        all_silent = len(silent) == sum(len(reader.lanes) for reader in self._lanes.values())
        self._idle = self._idle and all_silent
        if self._untouched and all_silent:
            if self._idle:
                return None
            self._idle = True
            for topic, lane in silent:
                self._go_on(topic, outcome, self._engine.idle, lane.name)
        elif self._asked_us is None or self._promised == (self._asked_us, silent):
            return None
        else:
            self._promised = self._asked_us, silent
            for topic, lane in silent:
                time = self._asked_us - SLACK_US
                self._go_on(
                    topic, outcome, self._engine.promise, lane.name, time if lane.time_unit == "us" else time // 1000
                )
        return outcome

    def advance(self, time_us: int) -> Outcome:
        """Let the rules know that time has gone on."""
        outcome = Outcome()
        if self._lanes and not self._idle:
            return outcome  # events of a source may be under way, whatever this topic's silence
        time_us -= self._delay_us
        newest_us = self._engine.newest_us
        if newest_us is None or time_us < newest_us + _STEP_US:
            return outcome
        try:
            self._add(self._engine.advance(time_us), outcome)
        except RuleFailure as failure:
            raise _failed(failure, f"the silence after offsets {self.positions}") from failure
        return outcome

    @property
    def newest_us(self) -> int | None:
        """Where event time stands."""
        return self._engine.newest_us

    def waiting(self) -> Mapping[str, int]:
        """How many rows of a topic wait for others."""
        return {topic: self._engine.waiting(name) for topic, name in self._names.items()}

    def snapshot(self) -> bytes:
        """The engine's state (open patterns, windows, rows that wait for their turn by event time) and that of the lanes."""
        lanes = {topic: reader.state() for topic, reader in self._lanes.items()}
        pins = self._lookups.versions(), self._lookups.current
        return msgspec.msgpack.encode([self._engine.snapshot(), lanes, self.live, pins])

    def measure(self, number: int, stats: AgentStats) -> None:
        """See :class:`Partition`."""
        self._tally.add_to(stats.rules)
        if self.live:
            names = {topic: [stream.name] for topic, stream in self._streams.items()}
            names |= {topic: [lane.name for lane in reader.lanes] for topic, reader in self._lanes.items()}
            stats.watermark_lag_ms |= watermark_lag_ms(self._engine, names, number)

    def adopt(self, content: Content) -> bool:
        """From the next event on, judge by these lists and parameters; whether that is a change.

        What rules cannot read of it (``refused``) stays as it was.
        """
        self.offered = content
        found, self.refused = usable(self._engine.rules, self._lookups.content, content)
        if found.same_as(self._lookups.content):
            return False
        self._lookups.set(found)
        return True

    @property
    def judges_by(self) -> Content:
        """The lists and parameters in force here."""
        return self._lookups.content

    def _go_on(self, topic: str, outcome: Outcome, tell: Callable[..., list[Alert]], *what: Any) -> None:
        """Tell the engine something that lets rows go, and note the alerts."""
        try:
            self._add(tell(*what), outcome)
        except RuleFailure as failure:
            raise _failed(failure, f"events before offset {self.positions[topic]} of {topic}") from failure

    def _wake(self) -> None:
        self._untouched = self._idle = False
        for reader in self._lanes.values():
            for lane in reader.lanes:
                self._engine.wake(lane.name)

    def _push(
        self, stream: Stream, records: Sequence[Record], source: Callable[[int], codec.Source], outcome: Outcome
    ) -> None:
        """Give events to the engine; ``source`` says what the n-th record is, for whoever is told that it is bad or late."""
        rows, errors, index = stream.decode_many([record.value for record in records])  # type: ignore[misc]
        outcome.events += len(rows)
        before = self._engine.duplicates
        alerts = self._engine.push_rows(stream.name, rows)
        self._arrivals.saw(self._engine.newest_us, records[0].timestamp, records[-1].timestamp)
        self._add(alerts, outcome)
        outcome.duplicates[source(0).topic] += self._engine.duplicates - before
        for position, error in errors:
            outcome.messages.append(codec.dead_letter(source(position), error.reason, _SOURCE, column=error.column))
        outcome.dead_letters += len(errors)
        for late in self._engine.take_late():
            position = late.index if index is None else index[late.index]
            about = source(position)
            outcome.messages.append(codec.late_event(about, late, _SOURCE))
            outcome.late[about.topic, late.reason] += 1

    def _push_lanes(self, reader: LaneReader, records: Sequence[Record], outcome: Outcome) -> None:
        self._wake()  # all lanes: whoever brings something is not alone to do so
        to_us = 1 if reader.source.time_unit == "us" else 1000
        for step in reader.steps(records):
            lane = reader.lanes[step.lane]
            if step.records:
                self._push(lane, step.records, partial(_original, reader, step), outcome)
            if step.reached is not None:
                self._add(self._engine.reach(lane.name, step.reached), outcome)
                self._newest_us = max(self._newest_us or step.reached * to_us, step.reached * to_us)

    def _add(self, alerts: Sequence[Alert], outcome: Outcome) -> None:
        for alert in alerts:
            event_time_ms = alert.event_time // 1000 if alert.rule in self._us else alert.event_time
            outcome.rules.append(alert.rule)
            arrived_ms = self._arrivals.of(event_time_ms * 1000)
            if arrived_ms is not None:
                outcome.arrived_ms.append(arrived_ms)
            outcome.messages.append(codec.alert_message(alert, event_time_ms, _SOURCE))
            if action := self._actions.get(alert.rule):
                outcome.messages.append(codec.action_message(alert, action, event_time_ms, _SOURCE))


def unpacked(state: bytes) -> tuple[bytes, dict[str, Any], bool]:
    """Of a snapshot, the engine's part, that of each reader of a re-keyed topic, and whether events were live."""
    blob, lanes, live, *_ = msgspec.msgpack.decode(state)
    return blob, lanes, live


def pins_in(state: bytes) -> tuple[dict[str, str], bool]:
    """Of a snapshot, the versions of lists and parameters by which the engine judged, and whether they were current."""
    _, _, _, *pins = msgspec.msgpack.decode(state)
    return (pins[0][0], pins[0][1]) if pins else ({}, True)


def _original(reader: LaneReader, step: Step, index: int) -> codec.Source:
    """The record of the source, not the copy: repetitions of a letter about it have one id."""
    record, offset = step.records[index], step.offsets[index]
    return codec.Source(reader.source.topic, step.lane, offset, record.timestamp, record.key, record.value)


def _failed(failure: RuleFailure, where: str) -> ShellError:
    reason = str(failure).splitlines()[0]
    line = "" if failure.line is None else f" (line {failure.line} of the rule)"
    return ShellError(
        f"{reason}{line}, on {where}",
        "mend or remove the rule and start the worker again: nothing of these events is committed",
    )


async def build(context: AgentContext) -> Host:
    """The host of the risk agent, attached to an app that is not started yet.

    Raises:
        ShellError: there are no rules, or the topics that they read do not fit together.
    """
    options = context.options
    if not options.rules:
        raise ShellError("there is no rule to run", "give --rules a file or a folder with .sql rules")
    library = as_library(options.lookups)
    by_other_keys = all_rekeyed(options.rules)
    count = await context.make_topics(by_other_keys) if by_other_keys else 0
    rules = tuple(over_lanes(rule, count) for rule in options.rules)
    lanes_of = {one.topic: one.lanes(count) for one in by_other_keys}
    direct = [options.streams[name] for name in sorted(read_directly(options.rules))]
    streams = {stream.topic: stream for stream in direct}
    if len(streams) < len(direct):
        names = ", ".join(stream.name for stream in direct)
        raise ShellError(f"two of the streams {names} have the same topic", "declare one stream for a topic")

    def open_partition(_: int, positions: Mapping[str, int], state: bytes | None) -> RiskPartition:
        readers = {
            one.topic: LaneReader(
                one.topic, one.stream, lanes_of[one.topic], state is None and positions[one.topic] > 0
            )
            for one in by_other_keys
        }
        seen = options.seen
        if state is None:
            lookups = Pinned(library.now)
            return RiskPartition(positions, Engine(rules, lookups, seen), streams, readers.values(), lookups=lookups)
        blob, lanes, live = unpacked(state)
        for topic in readers.keys() & lanes.keys():
            readers[topic].load(lanes[topic])
        lookups = as_before(library, *pins_in(state))
        engine = Engine.restore(rules, blob, changed=True, lookups=lookups, seen=seen)
        partition = RiskPartition(positions, engine, streams, readers.values(), live=live, lookups=lookups)
        partition.held_until_s = held_until_s()
        return partition

    versions = {rule.id: rule.version for rule in rules}
    context.stats.rules.update({rule.id: RuleStats(rule.id, rule.version, rule.severity) for rule in rules})
    topics = [*streams, *(one.topic for one in by_other_keys)]
    host = await context.new_host("risk", topics, open_partition, versions)
    host.beside(follow_library(host, library, context))
    if by_other_keys:
        sources = {one.stream.topic for one in by_other_keys}
        host.beside(watch_lanes(host, context.outbox, sources, count, max(0.02, options.idle_timeout_s / 2)))
    return host
