"""Faust's app, transport and consumer with batches in place of messages.

    aiokafka consumer ──▶ BatchConsumerThread ──▶ Batch ──▶ Faust's conductor ──▶ agent (one value a batch)

One app is one agent is one consumer group, so its committed offsets mean the same whatever other agents share the
process. Faust's own machinery for acknowledging messages is bypassed (``acks=False``): it costs two asyncio tasks a
message, which is why a plain Faust agent reads about 5 k events/s. The agent commits through
:meth:`BatchConsumer.commit_positions` instead, once everything that follows from a batch is safely written.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, Protocol, cast

import faust
import mode
from faust.app.base import BootStrategy
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.transport.batch import Batch
from streams.transport.thread import BatchConsumerThread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from streams.transport.batch import EndOfPartition, Start

_logger = mode.get_logger("faust.batches")  # quiet with Faust's own

#: Batches that may wait in the agent's queue, over all partitions; they are small in number and large in content.
_QUEUED_BATCHES = 8


class BatchHandler(Protocol):
    """What the transport tells the owner of the partitions' state."""

    async def on_revoked(self, revoked: set[TP]) -> None:
        """Stop taking batches, wait for what is under way, commit. The group is rebalancing: be quick."""

    def on_assigned(self, assigned: set[TP]) -> None:
        """Drop the state of partitions that are now another worker's."""

    async def restore(self) -> Mapping[TP, int] | None:
        """Bring in the state of what was assigned; its positions. Without any, reading starts where the group has committed.

        None: the group has begun to rebalance meanwhile, so that what is assigned may be another worker's by now.
        """

    def on_started(self, start: Start) -> None:
        """All partitions are sought; batches of this epoch follow, unless the group has begun to rebalance meanwhile."""


class BatchSchema(faust.Schema):
    """Passes batches through. A codec that raised would make Faust count the whole batch as done."""

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> None:
        """Return None: a batch has no key, its records have."""

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:  # noqa: ARG002
        """Return the value unchanged."""
        return message.value


class InOrder:
    """Gives fetched records on in the order in which the thread has put them. Faust's own takes topics in turn."""

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Every record with its partition."""
        for tp, found in records.items():
            for record in found:
                yield tp, record


class BatchConsumer(driver.Consumer):
    """Faust's consumer; the thread does the work, this side talks to the handler."""

    logger = _logger
    app: BatchApp
    _thread: BatchConsumerThread

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if type(record) is not Batch:
            return super()._to_message(tp, record)
        return ConsumerMessage(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp=None,
            timestamp_type=None,
            headers=None,
            key=None,
            value=record,
            checksum=None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    def on_buffer_full(self, tp: TP) -> None:
        """Do nothing: a full queue makes the conductor wait, and that is enough.

        Faust would leave the partition out of the next fetches, and sleep a whole second when all are left out.
        """

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to where the handler's state stands, else to what is committed. Faust calls it after each rebalance."""
        # In this order: who is paused in between, while others take its partitions, must not begin without state where
        # they have come to. Nobody commits before a snapshot is saved, and the handler sees all that were saved before it.
        committed = await self._thread.committed()
        wanted = await self.app.handler.restore()
        if wanted is None:
            raise RebalanceAgain  # Faust waits for the next assignment and comes again
        start = await self._thread.seek_to_start(wanted, committed)
        self.app.handler.on_started(start)
        gc.collect()  # the state of partitions that have gone holds cycles, and a worker's collector looks rarely
        return {**start.others, **start.positions}

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let the handler commit, then go on as Faust does."""
        try:
            await self.app.handler.on_revoked(revoked)
        except Exception as error:
            await self.crash(error)  # aiokafka would log it and rebalance as if nothing had happened
            raise
        self._thread.forget_places()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Let the handler drop what it lost, then go on as Faust does."""
        self.app.handler.on_assigned(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    async def commit_positions(self, positions: Mapping[TP, int]) -> bool:
        """Commit positions of assigned partitions.

        Returns:
            False when the group has rebalanced meanwhile: nothing is committed, the new owner reads them again.
        """
        return bool(await self._commit(positions))

    def trouble(self) -> BaseException | None:
        """What keeps the consumer from its group: not permitted, for one. Faust would wait for partitions for ever."""
        return self._thread.trouble()

    def steer(self, held_back: frozenset[TP], max_records: int) -> None:
        """Say what is read from the next fetch on; what was read before still comes.

        Args:
            held_back: partitions that are not to be read for now. When that would be all of them, all are read.
            max_records: most records that a fetch gives out.
        """
        self._thread.held_back, self._thread.max_records = held_back, max_records

    def end_of(self, tp: TP) -> EndOfPartition | None:
        """How far ``tp`` is written, by the last answer of the broker."""
        return self._thread.end_of(tp)


class BatchTransport(driver.Transport):
    """aiokafka transport whose consumer makes batches."""

    Consumer = BatchConsumer


class _NoTables(TableManager):
    """Faust waits a second for tables to be declared. We have none: state is in snapshots, not in Faust's tables."""

    logger = _logger

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class _ConsumerOnly(BootStrategy):
    """No web server (Faust's binds 0.0.0.0 and serves table data), and no producer: the outbox has its own."""

    enable_web = False
    enable_kafka_producer = False


class BatchApp(faust.App):
    """A Faust app whose one agent is given batches.

    Args:
        group: consumer group, also the app's id.
        topics: the topics to read in batches.
        handler: keeps the state of the partitions.
        broker: ``host:port``.
        credentials: Faust's, see ``streams.security``; None: plaintext.
        data_dir: where Faust would keep tables. It keeps none, and nothing is made there.
        fetch_max_wait_ms: how long the broker may wait for new data before it answers.
        max_poll_records: most records a fetch gives out, over all partitions; bounds the size of a batch.
        session_timeout_s: after this long without a heartbeat the group gives the partitions to others.
    """

    logger = _logger
    BootStrategy = _ConsumerOnly

    def __init__(  # noqa: PLR0913 - each is a decision of the caller's
        self,
        group: str,
        *,
        topics: Iterable[str],
        handler: BatchHandler,
        broker: str,
        data_dir: Path,
        credentials: Any = None,
        fetch_max_wait_ms: int = 20,
        max_poll_records: int = 4000,
        session_timeout_s: float = 6.0,
    ) -> None:
        self.batch_topics = frozenset(topics)
        self.handler = handler
        self.fetch_max_wait_ms = fetch_max_wait_ms
        super().__init__(
            group,
            broker=f"aiokafka://{broker}",
            broker_client_id=group,
            broker_credentials=credentials,
            broker_max_poll_records=max_poll_records,
            broker_session_timeout=session_timeout_s,
            broker_heartbeat_interval=session_timeout_s / 4,
            broker_rebalance_timeout=session_timeout_s * 5,
            broker_request_timeout=max(30.0, session_timeout_s * 2),
            agent_supervisor=mode.CrashingSupervisor,
            autodiscover=False,
            datadir=data_dir,
            env={},  # Faust lets variables like BROKER_URL, meant for another program, win over what is said here
            reply_create_topic=False,
            store="memory://",
            stream_wait_empty=False,
            table_standby_replicas=1,  # keeps Faust's assignor, which keeps partition p of all topics together
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            ConsumerScheduler=InOrder,
            TableManager=_NoTables,
        )

    def _create_directories(self) -> None:
        """Make none: there are no tables to put into them."""

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    def serve_batches(self, take: Callable[[Batch], Awaitable[None]]) -> None:
        """Declare the agent: ``take`` is awaited for each batch, one after the other; if it raises, the app crashes."""

        async def batches(stream: Any) -> None:
            async for batch in stream:
                await take(batch)

        topic = self.topic(*sorted(self.batch_topics), acks=False, schema=BatchSchema(), maxsize=_QUEUED_BATCHES)
        self.agent(topic, name="batches", concurrency=1, supervisor_strategy=mode.CrashingSupervisor)(batches)

    def trouble(self) -> BaseException | None:
        """See :meth:`BatchConsumer.trouble`; None before the consumer exists."""
        return self.batch_consumer.trouble() if self.started else None

    @property
    def batch_consumer(self) -> BatchConsumer:
        """The consumer, which exists once the app is started."""
        return cast("BatchConsumer", self.consumer)
