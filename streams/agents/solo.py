"""Runs an agent that is one and not many: it reads every partition of its topics and keeps one state.

    records ──▶ Machine.take ──▶ state saved, with positions and messages ──▶ messages sent

The other way round than :mod:`streams.agents.host`: what is sent was remembered before, for machines whose word must not be taken
back. After a crash between the two the messages are sent, perhaps for the second time. Of two processes with one name the later
one has the state: the former cannot save any more, and ends.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from m1cep.errors import EngineError
from streams import snapshots
from streams.agents.acks import acknowledged
from streams.agents.places import Places
from streams.agents.unsent import packed, unpacked
from streams.errors import ServerError, ShellError
from streams.security import for_aiokafka
from streams.snapshots import PartitionSnapshot, SnapshotError, SupersededError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from streams.agents.outbox import Outbox, Packet
    from streams.agents.stats import AgentStats
    from streams.codec import Message
    from streams.snapshots import SnapshotStore
    from streams.transport import Record

_log = structlog.get_logger(__name__)

_TICK_MS = 50
_CALM_WAIT_MS = 200
MOST_RECORDS = 500
#: What has only been heard is saved so often, at most; it would be read again.
SAVE_HEARD_S = 1.0
_ONE = 0  # the number of the one state in the store


class Stand(NamedTuple):
    """A partition as the consumer sees it.

    Attributes:
        position: the next offset to take in.
        end: the offset after the last record, when the broker was heard last; None: it was never heard.
        polled: changes whenever the broker has answered for this partition.
    """

    position: int
    end: int | None
    polled: int | None


class Machine(Protocol):
    """The state of the agent. It may be asked, told and ticked again after a crash: all of it must bear repetition."""

    def take(self, topic: str, partition: int, record: Record) -> Sequence[Message | Packet]:
        """Hear a record; what is to be sent."""

    def tick(self, now_ms: int) -> Sequence[Message | Packet]:
        """The time; what is to be sent."""

    def snapshot(self) -> bytes:
        """All that must survive."""

    def load(self, state: bytes) -> Sequence[Message | Packet]:
        """Take over what ``snapshot`` gave, on a fresh one; what is to be said after a restart.

        Raises:
            EngineError: it cannot go on with this.
        """


class Solo:
    """The runner of one machine.

    Args:
        name: of the agent.
        machine: fresh.
        store: of its state.
        outbox: where messages go.
        stats: counters to keep.
        client: settings of the Kafka client.
        ids: of the topics that it reads (all partitions, from the beginning), from the cluster.
        fetch_max_wait_ms: how long the broker waits for something new.
        calm: topics of ``ids`` for which the broker may wait longer: little comes there, and nobody waits for the answer. The
            embedded broker makes a reader wait so long whatever has come, and spends as much on a fetch of nothing as on any.
        looked: told after each look at the topics how every partition stands.
        save_every_s: see ``SAVE_HEARD_S``; most_records: taken in at once.
        tail: topics of which a fresh machine hears only so many of each partition's last records.
        changed: whether the machine has changed by itself, and is to be saved although nothing was heard.
    """

    def __init__(  # noqa: PLR0913 - three kinds of agents, each with needs of its own
        self,
        name: str,
        machine: Machine,
        *,
        store: SnapshotStore,
        outbox: Outbox,
        stats: AgentStats,
        client: Mapping[str, Any],
        ids: Mapping[str, str],
        fetch_max_wait_ms: int = 20,
        calm: frozenset[str] = frozenset(),
        looked: Callable[[Mapping[Hashable, Stand]], None] | None = None,
        save_every_s: float = SAVE_HEARD_S,
        most_records: int = MOST_RECORDS,
        tail: Mapping[str, int] | None = None,
        changed: Callable[[], bool] | None = None,
    ) -> None:
        self._looked, self._save_every_s, self._most_records = looked, save_every_s, most_records
        self._changed_itself = changed or (lambda: False)
        self.name, self.topics, self.stats = name, frozenset(ids), stats
        self._machine, self._store, self._outbox, self._ids = machine, store, outbox, dict(ids)
        self._places = Places(name, tail or {}, stats)
        self._generation = 0
        self._changed = False
        self._unsent: list[Message | Packet] = []
        self._saved_s = 0.0
        self._clean_s = time.monotonic()  # when nothing had changed that was not saved
        self._writing: asyncio.Future[None] | None = None
        waits_ms = {self.topics - calm: fetch_max_wait_ms, self.topics & calm: max(fetch_max_wait_ms, _CALM_WAIT_MS)}
        self._consumers = {
            topics: _consumer(client, f"m1cep-{name}", wait_ms) for topics, wait_ms in waits_ms.items() if topics
        }
        #: Done with an exception when the agent cannot go on; its own ``run`` says so here.
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            ShellError: there is a state and it cannot be used; records were deleted that it should have heard.
            SupersededError: another process has taken it over.
            ServerError: a topic is gone.
        """
        for consumer in self._consumers.values():
            await consumer.start()
        self._unsent = await self._load()
        await self._assign()
        self.stats.state = "ready"
        _log.info("worker.ready", agent=self.name, topics=sorted(self.topics))
        await self._send()
        while True:
            found = await self._wait()
            started_s = time.perf_counter()
            self._unsent = self._hear(found)
            self.stats.busy_s += time.perf_counter() - started_s
            await self._tell_stands()
            self._changed |= self._changed_itself()
            if self._unsent or (self._changed and time.monotonic() - self._saved_s > self._save_every_s):
                await self._save()
            await self._send()

    async def _wait(self) -> Mapping[TopicPartition, Sequence[Record]]:
        """What has come; at the latest with the next tick, perhaps nothing."""
        first, *others = self._consumers.values()
        found = await self._fetched(first, _TICK_MS)
        for consumer in others:
            found |= await self._fetched(consumer, 0)
        return found

    async def _fetched(self, consumer: AIOKafkaConsumer, timeout_ms: int) -> dict[TopicPartition, Sequence[Record]]:
        try:
            found: dict[TopicPartition, Sequence[Record]] = await consumer.getmany(
                timeout_ms=timeout_ms, max_records=self._most_records
            )
        except OffsetOutOfRangeError as error:
            await self._places.pass_over(consumer, error.args[0])
            self._changed = True
            return {}
        return found

    def _hear(self, found: Mapping[TopicPartition, Sequence[Record]]) -> list[Message | Packet]:
        said: list[Message | Packet] = []
        for tp, records in found.items():
            for record in records:
                said += self._machine.take(tp.topic, tp.partition, record)
            self._places.at[tp] = records[-1].offset + 1
            self.stats.events[tp.topic] += len(records)
            self.stats.records += len(records)
            self._changed = True
        said += self._machine.tick(time.time_ns() // 1_000_000)
        return said

    async def _tell_stands(self) -> None:
        if self._looked is not None:
            # The consumer's word, not ours: it also goes past what is no record, such as the marks of transactions.
            self._looked(
                {
                    tp: Stand(await see.position(tp), _end(see, tp), see.last_poll_timestamp(tp))
                    for see in self._consumers.values()
                    for tp in see.assignment()
                }
            )

    async def _send(self) -> None:
        await acknowledged([await self._outbox.send(message) for message in self._unsent])
        self._unsent = []

    # -- the state

    async def _load(self) -> list[Message | Packet]:
        self._generation = await asyncio.to_thread(self._store.claim, _ONE, None)
        saved, refused = self._store.load(_ONE), 0
        while found := await asyncio.to_thread(next, saved, None):
            try:
                content = snapshots.decode(found.data)
                self._check(content, found.name)
                state, unsent = unpacked(content.state)
                said = [*unsent, *self._machine.load(state)]
            except (SnapshotError, EngineError) as error:
                refused += 1
                _log.warning("snapshot.refused", agent=self.name, snapshot=found.name, reason=str(error))
                # An older one has forgotten what was said: with this machine that must not be.
                break
            self._places.at = {_tp(name): at for name, at in content.positions.items()}
            return said
        if refused:
            raise ShellError(
                f"the newest state of {self.name} in {self._store.where} cannot be used (the log says why)",
                "put back what was there; an older one would not know what was said since",
            )
        return []

    def _check(self, content: PartitionSnapshot, name: str) -> None:
        if content.agent != self.name:
            raise SnapshotError(f"it is of agent {content.agent}, expected {self.name}")
        anew = [t for t, known in content.topics.items() if t in self._ids and known != self._ids[t]]
        if anew:
            raise ShellError(
                f"topic {', '.join(anew)} was deleted and made anew since {name} was saved: its offsets mean other records now"
            )

    async def _save(self) -> None:
        started_s = time.monotonic()
        positions = {f"{tp.topic}/{tp.partition}": at for tp, at in self._places.at.items()}
        content = PartitionSnapshot(
            self.name, _ONE, self._ids, positions, {}, packed(self._machine.snapshot(), self._unsent)
        )
        data = snapshots.encode(content)
        if self._writing is not None:  # who was interrupted did not interrupt the thread
            await asyncio.wait([self._writing])
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._store.save, _ONE, self._generation, data))
        await asyncio.shield(self._writing)
        self._changed, self._saved_s = False, time.monotonic()
        self._clean_s = started_s
        self.stats.snapshots += 1
        self.stats.snapshot_s.observe(time.monotonic() - started_s)
        self.stats.snapshot_bytes[_ONE] = len(data)

    async def _assign(self) -> None:
        counts = (await self._outbox.look(self.topics)).partitions
        if missing := sorted(self.topics - counts.keys()):
            raise ServerError(f"the broker has no topic {', '.join(missing)}", "make them: m1cep topics create")
        tps = [TopicPartition(topic, n) for topic in sorted(self.topics) for n in range(counts[topic])]
        for topics, consumer in self._consumers.items():
            theirs = [tp for tp in tps if tp.topic in topics]
            consumer.assign(theirs)
            self._changed |= await self._places.begin(consumer, theirs)
        self.stats.assigned = sorted(f"{tp.topic}/{tp.partition}" for tp in tps)

    async def confirm(self) -> bool:
        """Ask where the state is kept whether it still is ours; False: it is not yet.

        Raises:
            SupersededError: another process has taken it over.
            StoreError: nobody answers there.
        """
        if self._generation:
            await asyncio.to_thread(self._store.check, _ONE, self._generation)
        return bool(self._generation)

    # -- the worker's side

    def positions(self) -> dict[TopicPartition, int]:
        """The next offset of everything that is read."""
        return dict(self._places.at)

    def trouble(self) -> BaseException | None:
        """Nothing beside what ``run`` raises."""
        return None

    def measure(self) -> None:
        """How much is left to read, and since when what was heard is not saved."""
        lag: dict[str, int] = {}
        for consumer in self._consumers.values():
            for tp in consumer.assignment():
                end = consumer.highwater(tp)
                if end is not None:
                    lag[f"{tp.topic}/{tp.partition}"] = max(0, end - self._places.at.get(tp, end))
        self.stats.lag = dict(sorted(lag.items()))
        if not self._changed:
            self._clean_s = time.monotonic()
        self.stats.snapshot_age_s[_ONE] = time.monotonic() - self._clean_s

    async def close(self) -> None:
        """Save what was heard, and say what follows from it."""
        self.stats.state = "stopping"
        if self._generation:
            try:
                if (
                    self._changed or self._changed_itself() or self._unsent
                ):  # what was interrupted may not have been saved
                    await self._save()
                await self._send()
            except (SupersededError, snapshots.StoreError, KafkaError) as error:
                _log.warning("worker.not_saved", agent=self.name, reason=str(error))
        self.abandon()

    def abandon(self) -> None:
        """End without saving."""
        self._store.close()

    async def stop(self) -> None:
        """Let go of the broker."""
        for consumer in self._consumers.values():
            await consumer.stop()


def _consumer(client: Mapping[str, Any], name: str, wait_ms: int) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **for_aiokafka(client),
        client_id=name,
        enable_auto_commit=False,
        auto_offset_reset="none",  # what retention has deleted unread is not to be passed over in silence
        isolation_level="read_committed",  # what was never committed never happened
        fetch_max_wait_ms=wait_ms,
        metadata_max_age_ms=60_000,
    )


def _end(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """The offset up to which there is something to read: behind it are only transactions that nobody has ended."""
    end: int | None = consumer.highwater(tp)
    stable: int | None = consumer.last_stable_offset(tp)
    return end if end is None or stable is None or stable < 0 else min(end, stable)


def _tp(name: str) -> TopicPartition:
    topic, _, partition = name.rpartition("/")
    return TopicPartition(topic, int(partition))
