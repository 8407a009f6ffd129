"""Hosts the partitions of an agent: takes batches, sends what follows from them, commits behind the acknowledgements.

    batch ──▶ Partition.take ──▶ messages ──▶ Outbox ──▶ acknowledged ──▶ CommitLog ──▶ commit (about once a second)

The messages of a batch are on their way while the next batch is computed; the commit of a batch comes after the
acknowledgement of everything before it. Nothing here knows rules: an agent brings its own ``Partition``.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog
from faust.types import TP

from streams.agents.commits import CommitLog
from streams.agents.flow import Flow
from streams.errors import ServerError, ShellError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.agents.outbox import Outbox
    from streams.agents.partition import Outcome, Partition
    from streams.agents.stats import AgentStats
    from streams.transport import Batch, BatchApp, EndOfPartition, Start

_log = structlog.get_logger(__name__)

#: While a group rebalances, acknowledgements are awaited no longer than this; what is not acknowledged is read again.
_REVOKE_WAIT_S = 2.0
#: At a clean stop.
_STOP_WAIT_S = 3.0


class Host:
    """The transport's handler and the agent's body.

    Args:
        name: of the agent, for logs.
        topics: topics to read: equal partition counts, all partitions p kept together.
        new_partition: makes the empty state of a partition, given the positions to start from.
        outbox: where messages go.
        stats: counters to keep.
        flow: its settings.
        commit_every_s: how often to commit, at most.
    """

    def __init__(
        self,
        name: str,
        topics: frozenset[str],
        new_partition: Callable[[Mapping[str, int]], Partition],
        outbox: Outbox,
        stats: AgentStats,
        flow: Flow | None = None,
        commit_every_s: float = 1.0,
    ) -> None:
        self.name = name
        self.topics = topics
        self.stats = stats
        self.app: BatchApp  # set by attach()
        self._new_partition = new_partition
        self._outbox = outbox
        self._partitions: dict[int, Partition] = {}
        self._assigned: frozenset[TP] = frozenset()
        self._epoch = 0
        self._taking = False
        self._working = asyncio.Lock()  # held while a batch is processed and its messages are queued
        self._committing = asyncio.Lock()
        self._log = CommitLog()
        self._committed: dict[TP, int] = {}
        self._flow = flow or Flow()
        self._commit_every_s = commit_every_s
        self._tasks: list[asyncio.Task[None]] = []
        #: Done with an exception when the agent cannot go on.
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def attach(self, app: BatchApp) -> None:
        """Become the agent of ``app`` and start the timers."""
        self.app = app
        app.serve_batches(self.take)
        self._tasks = [
            asyncio.create_task(self._repeat(self._commit_every_s, self.commit)),
            asyncio.create_task(self._repeat(self._flow.tick_s, self._look_for_idle)),
        ]

    def abandon(self) -> None:
        """End without committing, after a failure."""
        self._taking = False
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Stop taking, wait for acknowledgements, commit. What cannot be committed in time is read again next time."""
        self.stats.state = "stopping"
        self.abandon()
        await self._settle_and_commit(_STOP_WAIT_S)

    # -- the transport's side ------------------------------------------------------------------------------------

    async def on_revoked(self, revoked: set[TP]) -> None:
        """See :class:`BatchHandler`. State is kept for now: a partition that comes back goes on where it stood."""
        self._taking = False
        self.stats.state = "rebalancing" if revoked else "starting"
        if not revoked:
            return
        await self._settle_and_commit(_REVOKE_WAIT_S)

    def on_assigned(self, assigned: set[TP]) -> None:
        """See :class:`BatchHandler`."""
        ours = frozenset(TP(tp.topic, tp.partition) for tp in assigned if tp.topic in self.topics)
        numbers = {tp.partition for tp in ours}
        for number in sorted(numbers):
            apart = sorted(self.topics - {tp.topic for tp in ours if tp.partition == number})
            if apart:
                raise ShellError(
                    f"partition {number} of {', '.join(apart)} was given to another worker than that of the other "
                    "topics: their partition counts differ or the group's members read different topics",
                    "give all input topics the same number of partitions and start workers with the same rules",
                )
        for number in sorted(self._partitions.keys() - numbers):
            del self._partitions[number]
            _log.info("partition.dropped", agent=self.name, partition=number)
        gone = self._assigned - ours
        self._log.forget(gone)
        for tp in gone:
            self._committed.pop(tp, None)
        self._assigned = ours
        self.stats.assigned = sorted(f"{tp.topic}/{tp.partition}" for tp in ours)
        if not ours:
            self._ready()

    def wanted_positions(self) -> Mapping[TP, int]:
        """See :class:`BatchHandler`."""
        return {
            TP(topic, number): position
            for number, partition in self._partitions.items()
            for topic, position in partition.positions.items()
        }

    def on_started(self, start: Start) -> None:
        """See :class:`BatchHandler`."""
        for (topic, number), lost in start.expired.items():
            _log.error("records.lost", topic=topic, partition=number, offsets=lost, reason="deleted by retention")
        starts: dict[int, dict[str, int]] = {}
        for (topic, number), position in start.positions.items():
            starts.setdefault(number, {})[topic] = position
        for number, positions in sorted(starts.items()):
            kept = self._partitions.get(number)
            if kept is not None and kept.positions == positions:
                continue
            self._partitions[number] = self._new_partition(positions)
            if any(positions.values()):  # nothing was missed by starting at the very beginning
                _log.warning("partition.starts_empty", agent=self.name, partition=number, positions=positions)
        self._epoch = start.epoch
        self._flow.start(self._partitions)
        self._taking = True
        self._ready()

    def _ready(self) -> None:
        if self.stats.state == "ready":
            return  # Faust may seek twice after a rebalance
        self.stats.state = "ready"
        partitions = sorted({tp.partition for tp in self._assigned})
        _log.info("worker.ready", agent=self.name, partitions=partitions, topics=sorted(self.topics))

    async def _settle_and_commit(self, each_s: float) -> None:
        """Wait for the batch under way and its acknowledgements, then commit what is acknowledged by now."""
        try:
            await asyncio.wait_for(self._settle(), each_s)
        except TimeoutError:
            _log.warning("worker.unacknowledged", agent=self.name, steps=len(self._log))
        try:
            await asyncio.wait_for(self.commit(), each_s)
        except TimeoutError:
            _log.warning("worker.not_committed", agent=self.name, reason="the broker does not answer")

    async def _settle(self) -> None:
        async with self._working:
            await self._log.settle()

    # -- the agent's side ----------------------------------------------------------------------------------------

    async def take(self, batch: Batch) -> None:
        """Process a batch and queue what follows. Raises to crash the app: the process ends and the batch is replayed."""
        async with self._working:
            if not self._taking or batch.epoch != self._epoch:
                return  # read before a seek; it will come again
            try:
                await self._take(self._partitions[batch.partition], batch)
            except Exception as error:
                self._fail(error)
                raise

    async def _take(self, partition: Partition, batch: Batch) -> None:
        started_s = time.perf_counter()
        outcome = partition.take(batch)
        stats = self.stats
        stats.busy_s += time.perf_counter() - started_s
        stats.batches += 1
        stats.records += len(batch.records)
        stats.largest_batch = max(stats.largest_batch, len(batch.records))
        stats.events[batch.topic] += outcome.events
        stats.duplicates.update(outcome.duplicates)
        await self._send(batch.partition, partition, outcome)
        self._flow.took(batch.partition, partition, len(batch.records), time.perf_counter() - started_s)
        self._flow.steer(self._partitions, self.app.batch_consumer, stats)

    async def _send(self, number: int, partition: Partition, outcome: Outcome) -> None:
        if outcome.messages:
            stats = self.stats
            stats.alerts.update(outcome.rules)
            stats.dead_letters += outcome.dead_letters
            stats.late.update(outcome.late)
            pending = [await self._outbox.send(message) for message in outcome.messages]
        else:
            pending = []
        if self._partitions.get(number) is not partition:
            return  # lost in a rebalance while the broker was slow: another worker reads it again from the last commit
        self._log.add({TP(topic, number): at for topic, at in outcome.committable.items()}, pending)

    async def _look_for_idle(self) -> None:
        now_s = self._flow.look()
        if not self._taking or self._working.locked():
            return
        async with self._working:
            for number, partition in list(self._partitions.items()):
                for topic, position in partition.positions.items():
                    tp = TP(topic, number)
                    end = self.app.batch_consumer.end_of(tp)
                    if end is not None and end.offset < position:
                        raise _made_anew(tp, position, end, self.app.conf.id)
                    if self._flow.idle.became_idle(tp, position, end, now_s):
                        await self._send(number, partition, partition.idle(topic))
                time_us = self._flow.silent_us(number, partition, now_s)
                if time_us is not None:
                    await self._send(number, partition, partition.advance(time_us))
            self._flow.steer(self._partitions, self.app.batch_consumer, self.stats)

    async def commit(self) -> None:
        """Commit what is safe and not committed yet."""
        async with self._committing:
            safe = self._log.committable()
            due = {tp: at for tp, at in safe.items() if tp in self._assigned and self._committed.get(tp) != at}
            if due and await self.app.batch_consumer.commit_positions(due):
                self._committed.update(due)
                self.stats.commits += 1
            self._measure()

    def _measure(self) -> None:
        stats = self.stats
        stats.unacknowledged = len(self._log)
        stats.committed = {f"{tp.topic}/{tp.partition}": at for tp, at in sorted(self._committed.items())}
        lag: dict[str, int] = {}
        for tp in sorted(self._assigned):
            end = self.app.batch_consumer.end_of(tp)
            partition = self._partitions.get(tp.partition)
            if end is not None and partition is not None:
                lag[f"{tp.topic}/{tp.partition}"] = max(0, end.offset - partition.positions[tp.topic])
        stats.lag = lag

    async def _repeat(self, every_s: float, do: Callable[[], object]) -> None:
        try:
            while True:
                await asyncio.sleep(every_s)
                await do()  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker must end with it
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._taking = False
        self.stats.state = "failed"
        if not self.failed.done():
            self.failed.set_exception(error)


def _made_anew(tp: TP, position: int, end: EndOfPartition, group: str) -> ServerError:
    """Kafka refuses to read beyond the end; the embedded broker silently waits there, so the end is looked at."""
    return ServerError(
        f"topic {tp.topic} partition {tp.partition} ends at offset {end.offset}, but group {group} has read up to "
        f"{position}: the topic was deleted and made anew",
        "delete the consumer group's offsets, or start the worker with another --group",
    )
