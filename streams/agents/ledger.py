"""The ledger agent: fills, deposits, withdrawals and custody's releases into the books, in PostgreSQL.

It is one and reads every partition. What it has read is committed nowhere but in the books' own transactions, so it has no
state to save: killed at any moment, it goes on where the books end. A second one ends as soon as both have booked something.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from m1cep.ledger.events import account_postings, fill_postings
from streams import codec
from streams.agents.acks import acknowledged
from streams.database import Heartbeat, ReplicaWatch
from streams.errors import ServerError, ShellError, UsageError
from streams.ledger.bookkeeper import Bookkeeper
from streams.ledger.charts import load_chart
from streams.ledger.connections import connect_writer
from streams.ledger.schema import check_schema, register_assets, unlike_chart
from streams.ledger.shard import Place, Shard
from streams.security import for_aiokafka
from streams.topics import topic_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.ledger import Chart
    from streams.agents.context import AgentContext
    from streams.agents.outbox import Outbox
    from streams.agents.stats import AgentStats
    from streams.codec import Message
    from streams.ledger.bookkeeper import Reader

_log = structlog.get_logger(__name__)

NAME = "ledger"
_TICK_MS = 100
_MOST_RECORDS = 2_000
_TELL_TIMEOUT_S = 60.0


async def build(context: AgentContext) -> LedgerRunner:
    """The runner of the ledger.

    Raises:
        UsageError: M1CEP_DB_WRITE_URL is missing or wrong; a file cannot be read; there is no stream to book.
        LedgerError: the chart is none, or not that of the books.
        ServerError: a database does not answer or has no ledger; a topic is missing.
    """
    options, asked = context.options, context.options.ledger
    if asked is None:
        raise UsageError("the agent ledger needs its databases: M1CEP_DB_WRITE_URL")
    chart = load_chart(asked.chart)
    readers = _readers(context, chart)
    shards = [
        Shard(partial(connect_writer, at), chart, number, lambda record: readers[record.topic](record.value))
        for number, at in enumerate(asked.databases)
    ]
    await asyncio.to_thread(_check, shards, chart)
    found = await context.outbox.look((*readers, codec.DEAD_LETTERS))
    if missing := [topic for topic in (*readers, codec.DEAD_LETTERS) if not found.partitions.get(topic)]:
        raise ServerError(f"the broker has no topic {', '.join(missing)}", "make them: m1cep topics create")
    ids = await asyncio.to_thread(topic_ids, options.client, readers)
    places = {
        TopicPartition(topic, number): Place(found.id or "", topic, ids.get(topic, ""), number)
        for topic in readers
        for number in range(found.partitions[topic])
    }
    beats = [Heartbeat(partial(connect_writer, at)) for at in asked.databases]
    watches = [ReplicaWatch(partial(str, at), shard=number) for number, at in enumerate(asked.replicas)]
    return LedgerRunner(context, shards, readers, places, beats, watches)


def _check(shards: list[Shard], chart: Chart) -> None:
    import psycopg

    for shard in shards:
        try:
            check_schema(shard.connection, shard.number, len(shards))
            register_assets(shard.connection, dict(chart.decimals))
            if unlike := unlike_chart(shard.connection, chart):
                _log.warning(
                    "ledger.accounts_unlike_chart",
                    shard=shard.number,
                    accounts=len(unlike),
                    first=unlike[:5],
                    reason="whether they may be below zero was settled when they were opened",
                )
        except psycopg.Error as error:
            reason = str(error).strip().partition("\n")[0]
            raise ServerError(f"the ledger's database (shard {shard.number}) cannot be used: {reason}") from error


def _readers(context: AgentContext, chart: Chart) -> dict[str, Reader]:
    streams = context.options.streams
    makers = {"fills": fill_postings, "accounts": account_postings}
    readers: dict[str, Reader] = {
        stream.topic: partial(make, chart=chart)
        for name, make in makers.items()
        if (stream := streams.get(name)) is not None and stream.topic
    }
    custody = context.options.custody
    if custody is not None:
        # Late: what opens letters is in the extra `custody`.
        from streams.custody.mail import RELEASES
        from streams.custody.roster import load_roster
        from streams.ledger.custody import custody_postings

        readers[RELEASES] = partial(custody_postings, chart=chart, roster=load_roster(custody.roster))
    if not readers:
        raise UsageError("the declared streams have neither fills nor accounts: there is nothing to book")
    return readers


class LedgerRunner:
    """See :class:`streams.agents.Running`."""

    name = NAME

    def __init__(
        self,
        context: AgentContext,
        shards: list[Shard],
        readers: Mapping[str, Reader],
        places: Mapping[TopicPartition, Place],
        beats: list[Heartbeat],
        watches: list[ReplicaWatch],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.topics = frozenset(readers)
        self.failed: asyncio.Future[None] = loop.create_future()
        self._stats: AgentStats = context.stats
        self._outbox: Outbox = context.outbox
        self._until_closed = ExitStack()
        self._beats = beats  # by which readers know how old what they read is
        self._watches = watches  # of what readers read, for the counters
        self._positions: dict[TopicPartition, int] = {}
        self._books = Bookkeeper(shards, readers, places, lambda letters: self._tell(loop, letters))
        self._pass_over = context.options.ledger is not None and context.options.ledger.pass_over_lost
        self._consumer = AIOKafkaConsumer(
            **for_aiokafka(context.options.client),
            client_id=f"m1cep-{NAME}",
            enable_auto_commit=False,
            auto_offset_reset="none",  # what retention has deleted unread is not to be passed over in silence
            isolation_level="read_committed",  # what was never committed never happened, for rules and for books
            fetch_max_wait_ms=context.options.fetch_max_wait_ms,
            metadata_max_age_ms=60_000,
        )

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            ServerError: a database was away for too long, or a topic is gone.
            MovedError: another agent books the same topics.
            ShellError: records were deleted before they were booked.
        """
        await self._consumer.start()
        self._positions = await asyncio.to_thread(self._books.open)
        await self._seek()
        for beat in self._beats:
            self._until_closed.enter_context(beat)
        for watch in self._watches:
            self._until_closed.enter_context(watch)
        self._stats.state = "ready"
        _log.info("worker.ready", agent=NAME, topics=sorted(self.topics))
        while True:
            found = await self._heard()
            if not found:
                continue
            started_s = time.perf_counter()
            await asyncio.to_thread(self._books.book, found, self._behind(found))
            self._stats.busy_s += time.perf_counter() - started_s
            self._count(found)

    async def _heard(self) -> Mapping[TopicPartition, list[Any]]:
        try:
            found: Mapping[TopicPartition, list[Any]] = await self._consumer.getmany(
                timeout_ms=_TICK_MS, max_records=_MOST_RECORDS
            )
        except OffsetOutOfRangeError as error:
            places = {tp: (self._positions.get(tp, at), None) for tp, at in error.args[0].items()}
            raise _lost(places) from error
        return found

    def _behind(self, found: Mapping[TopicPartition, list[Any]]) -> set[TopicPartition]:
        """Partitions of which there is more to read than this, or of which nobody has said yet how far they go."""
        at = self._positions | {tp: records[-1].offset + 1 for tp, records in found.items()}
        ends = {tp: self._consumer.highwater(tp) for tp in at}
        return {tp for tp, end in ends.items() if end is None or at[tp] < end}

    async def _seek(self) -> None:
        tps = sorted(self._positions)
        starts = starting_points(
            self._positions, await self._consumer.beginning_offsets(tps), pass_over=self._pass_over
        )
        self._consumer.assign(tps)
        for tp, at in starts.items():
            self._consumer.seek(tp, at)
            self._stats.lost[tp.topic] += at - self._positions[tp]  # none, unless they are to be passed over
        self._stats.assigned = [f"{tp.topic}/{tp.partition}" for tp in tps]

    def _count(self, found: Mapping[TopicPartition, list[Any]]) -> None:
        stats, tally = self._stats, self._books.tally
        for tp, records in found.items():
            self._positions[tp] = records[-1].offset + 1
            stats.events[tp.topic] += len(records)
            stats.records += len(records)
        stats.batches += 1
        stats.commits += 1
        stats.dead_letters = sum(tally.refused.values())
        stats.duplicates["postings"] = tally.seen
        stats.postings = Counter(
            posted=tally.posted,
            seen=tally.seen,
            waiting=tally.waiting,
            expired=tally.expired,
            refused=stats.dead_letters,
        )

    def _tell(self, loop: asyncio.AbstractEventLoop, letters: list[Message]) -> None:
        """From the thread that books: the letters are on Kafka when this returns."""

        async def send() -> None:
            await acknowledged([await self._outbox.send(letter) for letter in letters])

        asyncio.run_coroutine_threadsafe(send(), loop).result(_TELL_TIMEOUT_S)

    # -- the worker's side

    def positions(self) -> dict[TopicPartition, int]:
        """The next offset of everything that is read."""
        return dict(self._positions)

    def trouble(self) -> BaseException | None:
        """Nothing beside what ``run`` raises."""
        return None

    def measure(self) -> None:
        """How far the books are behind the topics, and replicas behind the books."""
        if self._watches:
            self._stats.replica_lag_s = max(watch.lag_s() for watch in self._watches)
        held = self._consumer.assignment()  # none until the books have said from where to read
        ends = {tp: self._consumer.highwater(tp) for tp in self._positions if tp in held}
        self._stats.lag = {
            f"{tp.topic}/{tp.partition}": max(0, end - self._positions[tp]) for tp, end in ends.items() if end
        }

    async def close(self) -> None:
        """All that was booked is."""
        self._stats.state = "stopping"
        self.abandon()
        await asyncio.to_thread(self._until_closed.close)

    def abandon(self) -> None:
        """Wait for no database; what is under way is rolled back when the process ends."""
        self._books.stop()

    async def stop(self) -> None:
        """Let go of the broker."""
        await self._consumer.stop()


def starting_points(
    positions: Mapping[TopicPartition, int], begins: Mapping[TopicPartition, int], *, pass_over: bool
) -> dict[TopicPartition, int]:
    """Where to read on.

    Args:
        positions: how far each partition is booked.
        begins: the first offset that each still has.
        pass_over: book on although records are gone.

    Raises:
        ShellError: records were deleted before they were booked.
    """
    lost = {tp: (at, begins[tp]) for tp, at in sorted(positions.items()) if at < begins[tp]}
    if lost and not pass_over:
        raise _lost(lost)
    for tp, (at, begin) in lost.items():
        _log.error("records.lost", topic=tp.topic, partition=tp.partition, offsets=[at, begin])
    return {tp: max(at, begins[tp]) for tp, at in positions.items()}


def _lost(places: Mapping[TopicPartition, tuple[int, int | None]]) -> ShellError:
    where = ", ".join(
        f"{tp.topic}/{tp.partition} from offset {at}" + (f" to {begin}" if begin is not None else "")
        for tp, (at, begin) in places.items()
    )
    return ShellError(
        f"records were deleted before they were booked: {where}",
        "keep the topics for longer than the ledger may be away; with --pass-over-lost it books on without them",
    )
