"""The thread in which Faust runs aiokafka's consumer: fetches, seeks and commits happen here.

Faust runs the consumer with an event loop of its own in a second thread, so heartbeats go on while the agent computes.
Batches are made *here*, in the same step in which aiokafka gives its records out: only then is its position known to
belong to exactly these records, and only then is it certain on which side of a seek they were read.
"""
# ruff: noqa: SLF001 - what is private here is pinned by tests/streams/test_transport_pins.py

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.consumer import ensure_TP
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from mode import get_logger
from mode.threads import WorkerThread

from streams.errors import ServerError
from streams.transport import records
from streams.transport.batch import Batch, EndOfPartition, Start

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import AIOKafkaConsumer
    from aiokafka.structs import TopicPartition
    from faust.types import TP

    from streams.transport.app import BatchApp


_HELD_BACK_WAIT_S = 0.05


class _DaemonThread(WorkerThread):
    """A consumer that hangs in a call to a dead broker must not keep the process alive after its error was reported."""

    def __init__(self, service: Any, **kwargs: Any) -> None:
        super().__init__(service, **kwargs)
        self.daemon = True

    def run(self) -> None:
        """Run the service; its crash is reported by the app, what goes wrong in closing a dead connection by nobody."""
        try:
            super().run()
        except BaseException as error:  # noqa: BLE001 - threading would print the traceback to stderr
            self.service.log.debug("consumer thread ended: %r", error)


class BatchConsumerThread(AIOKafkaConsumerThread):
    """aiokafka's consumer with batches for the topics of the app, and with positions that we choose."""

    logger = get_logger("faust.batches")  # with Faust's own, not with ours
    Worker = _DaemonThread
    app: BatchApp

    #: Set by the main thread, read here: see :meth:`BatchConsumer.steer`.
    held_back: frozenset[TP] = frozenset()
    max_records: int | None = None

    _epoch = 0
    _next: dict[TopicPartition, int]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._next = {}

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust hard-codes 1500 ms. A broker that does not wake up on new data (the embedded one) answers only then.
        consumer._fetch_max_wait_ms = self.app.fetch_max_wait_ms
        # An order of an aborted transaction never happened.
        consumer._isolation_level = "read_committed"
        # We say where to read from, always. When that is gone, fail loudly instead of jumping over what was lost.
        consumer._auto_offset_reset = "none"
        return consumer

    async def on_start(self) -> None:
        """Connect, then take over the unpacking of records."""
        await super().on_start()
        records.install(self._ensure_consumer()._fetcher, self.app.batch_topics)

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        """Print nothing: Faust prints a traceback to stderr here, and the worker reports the error itself, in one line."""

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is Faust's
        max_records: int | None = None,
    ) -> dict[TP, list[Any]]:
        held = self.held_back & active_partitions
        if held and held != active_partitions:
            # aiokafka keeps what it has fetched of the others, a megabyte of each at most, and fetches no more of them. They
            # may be wanted again at any time, so the wait for records is short.
            active_partitions = active_partitions - held
            timeout = None if timeout is None else min(timeout, _HELD_BACK_WAIT_S)
        if max_records is not None and self.max_records is not None:
            max_records = min(max_records, self.max_records)
        try:
            fetched = await super()._fetch_records(
                consumer, active_partitions, timeout=timeout, max_records=max_records
            )
        except NoOffsetForPartitionError as error:
            if self._is_sought(error.args[0], self._next):
                raise
            return {}  # nobody has committed there yet, and it is sought next
        except OffsetOutOfRangeError as error:
            raise _out_of_range(error) from error
        # No await from here on: the position must be the one right after these records.
        places = self._next  # the main thread may put another one there
        return {
            tp: [self._as_batch(consumer, tp, found, places)] if tp in places else found
            for tp, found in fetched.items()
            if self._is_sought(tp, places)
        }

    def forget_places(self) -> None:
        """The group rebalances: every partition that is ours afterwards is sought again, and what is read until then comes again.

        Called from the main thread.
        """
        self._next = {}

    def _is_sought(self, tp: TopicPartition, places: dict[TopicPartition, int]) -> bool:
        """Whether reading begins where we say. A fetch that is under way while the group rebalances may already bring records
        of a partition that was just assigned, from wherever aiokafka has begun: it is sought next, and they come again.
        """
        return tp in places or tp.topic not in self.app.batch_topics

    def _as_batch(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, found: list[Any], places: dict[TopicPartition, int]
    ) -> Batch:
        position = consumer._subscription.subscription.assignment.state_value(tp).position
        batch = Batch(tp.topic, tp.partition, self._epoch, places[tp], position, found)
        places[tp] = position
        return batch

    async def committed(self) -> dict[TP, int | None]:
        """What the group has committed of the assigned partitions of the app's topics."""
        found: dict[TP, int | None] = await self.call_thread(self._committed)
        return found

    async def _committed(self) -> dict[TP, int | None]:
        consumer = self._ensure_consumer()
        tps = [tp for tp in consumer.assignment() if tp.topic in self.app.batch_topics]
        offsets = await asyncio.gather(*(consumer.committed(tp) for tp in tps))
        return {ensure_TP(tp): offset for tp, offset in zip(tps, offsets, strict=True)}

    async def seek_to_start(self, wanted: Mapping[TP, int], committed: Mapping[TP, int | None]) -> Start:
        """Seek every assigned partition: to the position wanted, else the committed one, else the beginning.

        Args:
            wanted: positions that the caller's state stands at; committed offsets are only used where it has none.
            committed: from ``committed``.
        """
        start: Start = await self.call_thread(self._seek_to_start, {**committed, **wanted})
        return start

    async def _seek_to_start(self, known: Mapping[TP, int | None]) -> Start:
        consumer = self._ensure_consumer()
        assigned = list(consumer.assignment())
        ours = [tp for tp in assigned if tp.topic in self.app.batch_topics]
        others = await self._seek_others(consumer, [tp for tp in assigned if tp.topic not in self.app.batch_topics])
        positions, expired = await self._positions(consumer, ours, known) if ours else ({}, {})
        self._epoch += 1
        self._next = dict(positions)
        for tp, offset in positions.items():
            consumer.seek(tp, offset)
        return Start(self._epoch, _as_faust(positions), _as_faust(expired), _as_faust(others))

    async def _seek_others(self, consumer: AIOKafkaConsumer, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Topics that are not read in batches start as they always do with Faust: where committed, else at the beginning."""
        if not tps:
            return {}
        committed: dict[TopicPartition, int | None] = await consumer.seek_to_committed(*tps)
        fresh = [tp for tp, offset in committed.items() if not offset]
        first: dict[TopicPartition, int] = await consumer.beginning_offsets(fresh) if fresh else {}
        for tp, offset in first.items():
            consumer.seek(tp, offset)
        return {tp: offset for tp, offset in committed.items() if offset}

    async def _positions(
        self, consumer: AIOKafkaConsumer, tps: list[TopicPartition], known: Mapping[TP, int | None]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        first: dict[TopicPartition, int] = await consumer.beginning_offsets(tps)
        positions: dict[TopicPartition, int] = {}
        expired: dict[TopicPartition, int] = {}
        for tp in tps:
            found = known[tp] if tp in known else await consumer.committed(tp)
            offset = first[tp] if found is None else found
            if offset < first[tp]:
                expired[tp] = first[tp] - offset
                offset = first[tp]
            positions[tp] = offset
        return positions, expired

    def trouble(self) -> BaseException | None:
        """The error with which aiokafka's part in the group has ended, or that it would raise at the next fetch.

        Called from the main thread: it only reads. Without partitions there is no next fetch, and nobody would hear of it.
        """
        coordinator = self._consumer._coordinator if self._consumer is not None else None
        if not isinstance(coordinator, GroupCoordinator):
            return None
        found: BaseException | None = coordinator._pending_exception
        task = coordinator._coordination_task
        if found is None and task.done() and not task.cancelled():
            found = task.exception()
        return found

    def end_of(self, tp: TP) -> EndOfPartition | None:
        """What the last fetch said about the end of a partition; None before the first answer or when not assigned.

        Called from the main thread: it only reads, and a rebalance under way shows as None.
        """
        consumer = self._consumer
        subscription = consumer._subscription.subscription if consumer is not None else None
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None or not assignment.active or tp not in assignment.tps:
            return None
        state = assignment.state_value(tp)
        if state.highwater is None or state.timestamp is None:
            return None
        stable = state.lso
        return EndOfPartition(stable if stable is not None and stable >= 0 else state.highwater, state.timestamp)


def _as_faust(offsets: Mapping[TopicPartition, int]) -> dict[TP, int]:
    return {ensure_TP(tp): offset for tp, offset in offsets.items()}


def _out_of_range(error: OffsetOutOfRangeError) -> ServerError:
    ((tp, offset),) = error.args[0].items()
    return ServerError(
        f"topic {tp.topic} partition {tp.partition}: offset {offset} is gone, by retention or because the topic was "
        "made anew while it was read",
        "start the worker again: it goes on where the topic begins now and says what was lost",
    )
