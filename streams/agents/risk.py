"""The risk agent: batches of events through the rules to alerts, dead letters and late events.

Longer than others: what a partition hears, judges by and runs is one state, saved and changed together.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from m1cep import Engine
from streams import codec
from streams.agents.arrivals import Arrivals
from streams.agents.lanes import LaneReader, Step
from streams.agents.lanewatch import LaneSilence, watch_lanes
from streams.agents.librarian import as_before, follow_library, held_until_s
from streams.agents.measures import measure_event_time
from streams.agents.partition import Outcome, fresh_records, source_of
from streams.agents.quarantine import Quarantine
from streams.agents.risk_state import packed, pins_in, quarantine_in, unpacked
from streams.agents.ruler import Ruler
from streams.agents.tally import RuleTally
from streams.cache.content import Content, Pinned, usable, with_more
from streams.cache.library import as_library
from streams.errors import ShellError
from streams.rekey import all_rekeyed, over_lanes, read_directly
from streams.rules.book import Book, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from faust.types import TP

    from m1cep import Alert, RuleFailure, Stream
    from streams.agents.context import AgentContext
    from streams.agents.host import Host
    from streams.agents.stats import AgentStats
    from streams.transport import Batch, Record

_log = structlog.get_logger(__name__)

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
        number: of the partition; ``quarantine``: what has failed in it.
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
        number: int = 0,
        quarantine: Quarantine | None = None,
    ) -> None:
        self.positions = dict(positions)
        self.number = number
        self.quarantine = Quarantine(number) if quarantine is None else quarantine
        self.rules_revision = 0
        self._engine = engine
        self._tally, self._arrivals = RuleTally(engine), Arrivals()
        self._lookups = Pinned(Content()) if lookups is None else lookups
        self.offered: Content | None = None  # what ``adopt`` was given last
        self.refused: dict[str, str] = {}  # by label of a list or parameter, why its change was not taken over
        self.held_until_s: float | None = None  # until then, what is read again is judged as it was (monotonic)
        self._streams = streams
        self._lanes = {reader.topic: reader for reader in lanes}
        self._silence = LaneSilence(self._lanes)
        self.live = live
        self._names = {topic: stream.name for topic, stream in streams.items()}
        # An event may be as much behind as its stream declares, and be in time.
        read = [*streams.values(), *(reader.source for reader in self._lanes.values())]
        self._delay_us = max(s.delay if s.time_unit == "us" else s.delay * 1000 for s in read)
        self._stand([Standing(rule.id, rule.version, "active", rule) for rule in engine.rules])
        self._wake()  # what a snapshot says of silence was long ago

    def take(self, batch: Batch) -> Outcome:
        """Decode the batch's records that are new and push them.

        Raises:
            ShellError: records are missing between the last batch and this one.
        """
        position = self.positions[batch.topic]
        records = fresh_records(batch, position)
        outcome = Outcome()
        if records:
            self._tally.time_batch()
            if batch.topic in self._lanes:
                self._push_lanes(self._lanes[batch.topic], records, outcome)
            else:
                self._push(self._streams[batch.topic], records, lambda i: source_of(batch, records[i]), outcome)
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
            self._add(self._engine.idle(self._streams[topic].name), outcome)
        return outcome

    def before_asking(self) -> None:
        """The ends of the sources are about to be asked for."""
        self._silence.before_asking()

    def sources_end(self, ends: Mapping[TP, int]) -> Outcome | None:
        """Go on without waiting for lanes that are silent.

        Args:
            ends: see :meth:`LaneSilence.judged_by`.

        Returns:
            None when nothing has changed.
        """
        found = self._silence.judged_by(ends)
        outcome = Outcome()
        for lane, time in found:
            self._add(self._engine.idle(lane.name) if time is None else self._engine.promise(lane.name, time), outcome)
        return outcome if found else None

    def advance(self, time_us: int) -> Outcome:
        """Let the rules know that time has gone on."""
        outcome = Outcome()
        if self._lanes and not self._silence.over_all:
            return outcome  # events of a source may be under way, whatever this topic's silence
        time_us -= self._delay_us
        newest_us = self._engine.newest_us
        if newest_us is None or time_us < newest_us + _STEP_US:
            return outcome
        self._add(self._engine.advance(time_us), outcome)
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
        return packed(self._engine.snapshot(), lanes, live=self.live, pins=pins, failed=self.quarantine.state())

    def measure(self, number: int, stats: AgentStats) -> None:
        """See :class:`Partition`."""
        self._tally.add_to(stats.rules)
        names = {topic: [stream.name] for topic, stream in self._streams.items()}
        names |= {topic: [lane.name for lane in reader.lanes] for topic, reader in self._lanes.items()}
        measure_event_time(self._engine, names, number, stats, live=self.live)

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

    # -- rules that change

    def switch(self, standings: Mapping[str, Standing], revision: int, content: Content) -> Outcome:
        """From the next event on, go on with these rules; what goes on is kept.

        Args:
            standings: all of them, by id.
            revision: of them, for ``rules_revision``.
            content: has the lists and parameters that were not needed until now.
        """
        outcome = Outcome()
        self.quarantine.keep_to(standings.values())
        self._lookups.set(with_more(self.judges_by, content))
        running = [s for s in standings.values() if s.runs and not self.quarantine.holds(s)]
        self._engine.replace([s.rule for s in running if s.rule is not None])
        self._stand(running)
        self.rules_revision = revision
        return outcome

    def _stand(self, running: Iterable[Standing]) -> None:
        self._standings = {standing.id: standing for standing in running}
        rules = [standing.rule for standing in running if standing.rule is not None]
        self._us = frozenset(rule.id for rule in rules if rule.source.time_unit == "us")
        self._actions = {rule.id: rule.action for rule in rules if rule.action != "alert"}
        self._shadow = frozenset(standing.id for standing in running if standing.mode == "shadow")

    def _wake(self) -> None:
        self._silence.broken()
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
                self._silence.reached(step.reached * to_us)

    def _add(self, alerts: Sequence[Alert], outcome: Outcome) -> None:
        for alert in alerts:
            event_time_ms = alert.event_time // 1000 if alert.rule in self._us else alert.event_time
            message = codec.alert_message(alert, event_time_ms, _SOURCE)
            if alert.rule in self._shadow:
                outcome.messages.append(codec.shadowed(message))
                continue
            outcome.rules.append(alert.rule)
            outcome.messages.append(message)
            arrived_ms = self._arrivals.of(event_time_ms * 1000)
            if arrived_ms is not None:
                outcome.arrived_ms.append(arrived_ms)
            if action := self._actions.get(alert.rule):
                outcome.messages.append(codec.action_message(alert, action, event_time_ms, _SOURCE))
        for failure in self._engine.take_failures():
            self._quarantine(failure, outcome)

    def _quarantine(self, failure: RuleFailure, outcome: Outcome) -> None:
        time_ms = (self._engine.newest_us or 0) // 1000
        alert = self.quarantine.take(failure, self._standings[failure.rule], time_ms)
        _log.error("rule.quarantined", rule=failure.rule, partition=self.number, reason=alert.row["reason"])
        outcome.rules.append(alert.rule)
        outcome.messages.append(codec.alert_message(alert, time_ms, _SOURCE))


def _original(reader: LaneReader, step: Step, index: int) -> codec.Source:
    """The record of the source, not the copy: repetitions of a letter about it have one id."""
    record, offset = step.records[index], step.offsets[index]
    return codec.Source(reader.source.topic, step.lane, offset, record.timestamp, record.key, record.value)


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
    lanes_of = {one.topic: one.lanes(count) for one in by_other_keys}
    direct = [options.streams[name] for name in sorted(read_directly(options.rules))]
    streams = {stream.topic: stream for stream in direct}
    if len(streams) < len(direct):
        names = ", ".join(stream.name for stream in direct)
        raise ShellError(f"two of the streams {names} have the same topic", "declare one stream for a topic")
    topics = [*streams, *lanes_of]
    known = [*(stream.name for stream in direct), *(lane.name for lanes in lanes_of.values() for lane in lanes)]
    book = Book(options.rules) if options.deployed is None else options.deployed.book
    # The library may wait for the cache, the event loop must not: so the ruler looks in threads, and states are taken up in one.
    ruler = await asyncio.to_thread(Ruler, book, library, frozenset(topics), lambda rule: over_lanes(rule, count))

    async def look() -> None:
        if options.deployed is not None:
            await options.deployed.catch_up()
        await asyncio.to_thread(ruler.look)

    def open_partition(number: int, positions: Mapping[str, int], state: bytes | None) -> RiskPartition:
        readers = {
            one.topic: LaneReader(
                one.topic, one.stream, lanes_of[one.topic], state is None and positions[one.topic] > 0
            )
            for one in by_other_keys
        }
        blob, lanes, live = (None, {}, False) if state is None else unpacked(state)
        quarantine = Quarantine(number) if state is None else quarantine_in(state, number)
        quarantine.keep_to(ruler.standings.values())
        rules = [s.rule for s in ruler.standings.values() if s.runs and s.rule and not quarantine.holds(s)]
        for topic in readers.keys() & lanes.keys():
            readers[topic].load(lanes[topic])
        lookups = Pinned(library.now) if state is None else as_before(library, *pins_in(state))
        lookups.set(with_more(lookups.content, library.now))
        more: dict[str, Any] = {"lookups": lookups, "seen": options.seen, "isolate": True, "known": known}
        engine = Engine(rules, **more) if blob is None else Engine.restore(rules, blob, changed=True, **more)
        partition = RiskPartition(
            positions,
            engine,
            streams,
            readers.values(),
            live=live,
            lookups=lookups,
            number=number,
            quarantine=quarantine,
        )
        partition.switch(ruler.standings, ruler.revision, library.now)
        if state is not None:
            partition.held_until_s = held_until_s()
        return partition

    versions = {rule.id: rule.version for rule in options.rules}
    shadow = () if options.deployed is None else (codec.SHADOW,)
    host = await context.new_host("risk", topics, open_partition, versions, shadow, before_restore=look)
    if options.deployed is not None:
        host.beside(ruler.follow(host, options.deployed))
    ruler.tell(host.stats, ())
    host.beside(follow_library(host, library, context))
    if by_other_keys:
        sources = {one.stream.topic for one in by_other_keys}
        host.beside(watch_lanes(host, context.outbox, sources, count, max(0.02, options.idle_timeout_s / 2)))
    return host
