"""Hosts the partitions of an agent: takes batches, sends what follows from them, saves snapshots, commits.

    batch ──▶ Partition.take ──▶ messages ──▶ Outbox ──▶ acknowledged ─┐
                    └── every second: state and positions ─────────────┴──▶ snapshot saved ──▶ positions committed

The messages of a batch are on their way while the next batch is computed. A snapshot is saved after everything before it is
acknowledged, and its positions are committed after it is saved; the positions in the snapshot are the ones that count.
Nothing here knows rules: an agent brings its own ``Partition``. Longer than others: taking, saving and committing share locks.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka.errors import GroupAuthorizationFailedError
from faust.types import TP

from streams.agents.acks import acknowledged
from streams.agents.measures import alerts_left, measure_partitions
from streams.errors import ServerError, ShellError
from streams.snapshots import StoreError, SupersededError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from streams.agents.flow import Flow
    from streams.agents.keeper import Keeper, Owned
    from streams.agents.outbox import Outbox
    from streams.agents.partition import Outcome, Partition
    from streams.agents.stats import AgentStats
    from streams.transport import Batch, BatchApp, EndOfPartition, Start

_log = structlog.get_logger(__name__)

#: While a group rebalances, and at a clean stop, the last snapshots wait no longer; what is not saved is read again.
_LAST_SAVE_S = 8.0
#: Of the worker's time, at most a tenth goes into snapshots: after one that took a second the next comes nine later.
_TIMES_PAUSE = 9


class Host:
    """The transport's handler and the agent's body.

    Args:
        name: of the agent, for logs.
        topics: topics to read: equal partition counts, all partitions p kept together.
        keeper: loads and saves partitions.
        outbox: where messages go.
        stats: counters to keep.
        flow: how time goes on, and what is read next.
        snapshot_every_s: how often to save what has changed, at most.
    """

    def __init__(
        self,
        name: str,
        topics: frozenset[str],
        keeper: Keeper,
        outbox: Outbox,
        stats: AgentStats,
        flow: Flow,
        snapshot_every_s: float = 1.0,
    ) -> None:
        self.name = name
        self.topics = topics
        self.stats = stats
        self.app: BatchApp  # set by attach()
        self._keeper = keeper
        self._outbox = outbox
        self._owned: dict[int, Owned] = {}
        self._assigned: frozenset[TP] = frozenset()
        self._epoch = 0
        self._taking = False
        self._round = 0  # goes on when partitions may go to others, and when they have
        self._restored = 0  # in this round
        self._claiming = asyncio.Lock()
        self._working = asyncio.Lock()  # held while a batch is processed and its messages are queued
        self._saving = asyncio.Lock()
        self._committed: dict[TP, int] = {}
        self._flow = flow
        self._snapshot_every_s = snapshot_every_s
        self._tasks: list[asyncio.Task[None]] = []
        #: Done with an exception when the agent cannot go on.
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def attach(self, app: BatchApp) -> None:
        """Become the agent of ``app`` and start the timers."""
        self.app = app
        app.serve_batches(self.take)
        self._tasks = [
            asyncio.create_task(self._watched(self._save_repeatedly())),
            asyncio.create_task(self._watched(self._look_for_idle())),
        ]

    async def run(self) -> None:
        """Until the app ends, which it does only when something is wrong.

        Raises:
            ShellError: or whatever the reason was.
        """
        await self.app.start()
        await self.app.wait_until_stopped()
        # Nobody has asked it to: a crash may stop the app before somebody has looked at ``trouble``.
        raise self.app.crash_reason or ShellError(f"agent {self.name} stopped by itself")

    def trouble(self) -> BaseException | None:
        """Why the app cannot go on. Faust keeps it to itself and goes on waiting; some crashes are in the consumer's thread."""
        if self.app.crashed:
            return self.app.crash_reason or ShellError(f"agent {self.name} crashed without a reason")
        if isinstance(self.app.trouble(), GroupAuthorizationFailedError):
            return ServerError(
                f"the broker does not permit us to use group {self.app.conf.id}",
                "docs/security.md lists the grants that a worker needs",
            )
        return None

    async def stop(self) -> None:
        """Leave the group."""
        await self.app.stop()

    def beside(self, work: Awaitable[None]) -> None:
        """Run something until the agent ends, which ends if that fails."""
        self._tasks.append(asyncio.create_task(self._watched(work)))

    def abandon(self) -> None:
        """End without saving, after a failure."""
        self._taking = False
        for task in self._tasks:
            task.cancel()
        self._keeper.close()

    async def close(self) -> None:
        """Stop taking, save, commit. What cannot be saved in time is read again next time."""
        self.stats.state = "stopping"
        self._taking = False
        await self._save_at_last()
        self.abandon()

    # -- the transport's side ------------------------------------------------------------------------------------

    async def on_revoked(self, revoked: set[TP]) -> None:
        """See :class:`BatchHandler`. State is kept for now: a partition that comes back goes on where it stood."""
        self._taking = False
        self._round += 1
        async with self._claiming:
            pass  # a claim under way would come after that of the next owner, and take the partition from it
        self.stats.state = "rebalancing" if revoked else "starting"
        if revoked:
            await self._save_at_last()

    def on_assigned(self, assigned: set[TP]) -> None:
        """See :class:`BatchHandler`."""
        self._round += 1
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
        measure_partitions(self._owned, self.stats)  # what is given up has been counted
        for number in sorted(self._owned.keys() - numbers):
            del self._owned[number]
            self.stats.snapshot_bytes.pop(number, None)
            _log.info("partition.dropped", agent=self.name, partition=number)
        for tp in self._assigned - ours:
            self._committed.pop(tp, None)
        self._assigned = ours
        self.stats.assigned = sorted(f"{tp.topic}/{tp.partition}" for tp in ours)
        if not ours:
            self._ready()

    async def restore(self) -> Mapping[TP, int] | None:
        """See :class:`BatchHandler`."""
        this_round = self._round
        try:
            claimed = await self._claim(this_round)
            if claimed:
                await self._keeper.before_loading()
            for number, owned in claimed.items():
                async with self._claiming:
                    if self._round != this_round:
                        break
                    owned.partition = await self._keeper.load(number)
                    self._owned[number] = (
                        owned  # not before: without its state it would look like one that begins empty
                    )
        except Exception as error:
            self._fail(error)
            raise
        if self._round != this_round:
            return None
        self._restored = this_round
        return {tp: at for tp, at in self.positions().items() if tp in self._assigned}

    async def _claim(self, this_round: int) -> dict[int, Owned]:
        """Claim what was assigned; those whose state is to be loaded. Nothing is claimed once the group rebalances again."""
        claimed: dict[int, Owned] = {}
        for number in sorted({tp.partition for tp in self._assigned}):
            async with self._claiming:
                if self._round != this_round:
                    break
                former = self._owned.get(number)
                owned = await self._keeper.claim(number, former)
                if owned is not former:
                    self._owned.pop(number, None)  # another worker had it
                    claimed[number] = owned
        return claimed

    def on_started(self, start: Start) -> None:
        """See :class:`BatchHandler`."""
        if self._restored != self._round:
            return  # the group rebalances again; another start follows
        for (topic, number), lost in start.expired.items():
            self.stats.lost[topic] += lost
            _log.error("records.lost", topic=topic, partition=number, offsets=lost, reason="deleted by retention")
        starts: dict[int, dict[str, int]] = {}
        for (topic, number), position in start.positions.items():
            starts.setdefault(number, {})[topic] = position
        for number, positions in sorted(starts.items()):
            owned = self._owned[number]
            if owned.partition is None:
                owned.partition = self._keeper.open_partition(number, positions, None)
                if any(positions.values()):  # nothing was missed by starting at the very beginning
                    _log.warning("partition.starts_empty", agent=self.name, partition=number, positions=positions)
            owned.partition.positions = positions
        self._epoch = start.epoch
        self._flow.start({number: o.partition for number, o in self._owned.items() if o.partition is not None})
        self._taking = True
        self._ready()

    def _ready(self) -> None:
        if self.stats.state == "ready":
            return  # Faust may seek twice after a rebalance
        self.stats.state = "ready"
        partitions = sorted({tp.partition for tp in self._assigned})
        _log.info("worker.ready", agent=self.name, partitions=partitions, topics=sorted(self.topics))

    # -- the agent's side ----------------------------------------------------------------------------------------

    async def take(self, batch: Batch) -> None:
        """Process a batch and queue what follows. Raises to crash the app: the process ends and the batch is replayed."""
        async with self._working:
            if not self._taking or batch.epoch != self._epoch:
                return  # read before a seek; it will come again
            try:
                await self._take(self._owned[batch.partition], batch)
            except asyncio.CancelledError:
                self._fail(ShellError(f"agent {self.name} was interrupted while it processed a batch"))
                raise
            except Exception as error:
                self._fail(error)
                raise

    async def _take(self, owned: Owned, batch: Batch) -> None:
        assert owned.partition is not None  # on_started() has come before
        owned.changed = True  # before anything can fail: what is half taken must not look like what was saved
        started_s = time.perf_counter()
        outcome = owned.partition.take(batch)
        stats = self.stats
        stats.busy_s += time.perf_counter() - started_s
        stats.batches += 1
        stats.records += len(batch.records)
        stats.largest_batch = max(stats.largest_batch, len(batch.records))
        stats.batch_records.observe(len(batch.records))
        if outcome.dead_letters:
            stats.dead_by_topic[batch.topic] += outcome.dead_letters
        stats.events[batch.topic] += outcome.events
        stats.duplicates.update(outcome.duplicates)
        await self._send(owned, outcome)
        self._flow.took(batch.partition, owned.partition, len(batch.records), time.perf_counter() - started_s)
        self._flow.steer(self.app.batch_consumer, stats)

    async def _send(self, owned: Owned, outcome: Outcome) -> None:
        owned.changed = True
        if outcome.messages:
            stats = self.stats
            stats.alerts.update(outcome.rules)
            stats.dead_letters += outcome.dead_letters
            stats.late.update(outcome.late)
            # Waits while the outbox is full: a slow sink makes us slow, not large.
            owned.acks.add(sent := [await self._outbox.send(message) for message in outcome.messages])
            if outcome.arrived_ms:
                sent[-1].add_done_callback(partial(alerts_left, self.stats.latency, outcome.arrived_ms))

    @property
    def partitions(self) -> list[Partition]:
        """Those that are ours, as far as they are open; also while the group rebalances."""
        return [owned.partition for owned in self._owned.values() if owned.partition is not None]

    async def each(self, act: Callable[[Partition], Outcome | None]) -> None:
        """Between two batches, let something follow for every partition that is ours; None: nothing has changed."""
        async with self._working:
            for owned in list(self._owned.values()):
                if not self._taking or owned.partition is None:
                    continue
                outcome = act(owned.partition)
                if outcome is not None:
                    await self._send(owned, outcome)

    async def _look_for_idle(self) -> None:
        while True:
            await asyncio.sleep(self._flow.tick_s)
            now_s = self._flow.look()
            if not self._taking or self._working.locked():
                continue
            async with self._working:
                for number, owned in list(self._owned.items()):
                    if owned.partition is not None:
                        await self._tell_idle(number, owned, now_s)
                self._flow.steer(self.app.batch_consumer, self.stats)

    async def _tell_idle(self, number: int, owned: Owned, now_s: float) -> None:
        assert owned.partition is not None
        for topic, position in owned.partition.positions.items():
            tp = TP(topic, number)
            end = self.app.batch_consumer.end_of(tp)
            if end is not None and end.offset < position:
                raise _made_anew(tp, position, end, self.app.conf.id)
            if self._flow.idle.became_idle(tp, position, end, now_s):
                await self._send(owned, owned.partition.idle(topic))
        time_us = self._flow.silent_us(number, owned.partition, now_s)
        if time_us is not None:
            outcome = owned.partition.advance(time_us)
            if outcome.messages:  # that time went on is not worth a snapshot
                await self._send(owned, outcome)

    def positions(self) -> dict[TP, int]:
        """The next offset to process of everything that is owned and started."""
        return {
            TP(topic, number): at
            for number, owned in self._owned.items()
            if owned.partition is not None
            for topic, at in owned.partition.positions.items()
        }

    # -- snapshots -----------------------------------------------------------------------------------------------

    async def save(self) -> None:
        """Save and commit what has changed. What the store does not take now is tried again the next time.

        Raises:
            SupersededError: another worker owns a partition that we thought ours.
            KafkaError: a message was refused.
        """
        async with self._saving:
            for number, owned in list(self._owned.items()):
                owned.acks.check()
                if owned.partition is None:
                    continue
                if owned.changed:
                    await self._save(number, owned)
                else:  # whoever had it before may have died between saving and committing
                    at = owned.partition.positions
                    await self._commit({TP(topic, number): position for topic, position in at.items() if position})
            self.measure()

    async def change(self, act: Callable[[Partition, bool], bool]) -> int:
        """Between two batches, change by what partitions judge, and save that before the next: so that whoever goes on from the
        snapshot judges every event as it was judged.

        A change that the store does not take holds all the same: it is saved later, and a crash before that is no longer exact.

        Args:
            act: of a partition, and whether it has read all that there is; returns whether it has changed.

        Returns:
            How many have changed.
        """
        changed = 0
        async with self._saving, self._working:
            for number, owned in list(self._owned.items()):
                if not self._taking or owned.partition is None or not act(owned.partition, self._caught_up(number)):
                    continue
                changed += 1
                owned.changed = True
                if (copied := self._copied(number, owned)) is not None:
                    await self._store(number, owned, *copied)
        return changed

    def _caught_up(self, number: int) -> bool:
        """Whether all that there is of a partition is taken, as far as is known."""
        partition = self._owned[number].partition
        assert partition is not None
        ends = [(self.app.batch_consumer.end_of(TP(topic, number)), at) for topic, at in partition.positions.items()]
        return all(end is not None and end.offset <= at for end, at in ends)

    async def _save(self, number: int, owned: Owned) -> None:
        async with self._working:  # between two batches, when everything that follows from the first is in the outbox
            copied = self._copied(number, owned)
        if copied is not None:
            await self._store(number, owned, *copied)

    def _copied(self, number: int, owned: Owned) -> tuple[dict[str, int], bytes, Sequence[asyncio.Future[Any]]] | None:
        """Positions and state now, and what must be acknowledged before they are saved; None: they must not be."""
        if self._owned.get(number) is not owned:
            return None  # lost in a rebalance
        if self.failed.done():
            return None  # the state may have taken half a batch, or one whose messages have not left
        assert owned.partition is not None
        started_s = time.perf_counter()
        positions, state = dict(owned.partition.positions), owned.partition.snapshot()
        owned.changed = False
        self.stats.snapshot_busy_s += time.perf_counter() - started_s
        # Pending now: what follows from later batches does not belong to this snapshot.
        return positions, state, owned.acks.pending()

    async def _store(
        self, number: int, owned: Owned, positions: dict[str, int], state: bytes, pending: Sequence[asyncio.Future[Any]]
    ) -> None:
        started_s = time.monotonic()
        try:
            await acknowledged(pending)
            size = await self._keeper.save(number, owned.generation, positions, state)
        except StoreError as error:
            owned.changed = True
            self.stats.snapshot_failures += 1
            _log.error("snapshot.failed", agent=self.name, partition=number, reason=str(error))
            return
        except SupersededError:
            if self._owned.get(number) is owned:
                del self._owned[number]
            raise
        except BaseException:
            owned.changed = True
            raise
        owned.saved_s = started_s
        self.stats.snapshots += 1
        self.stats.snapshot_bytes[number] = size
        self.stats.snapshot_s.observe(time.monotonic() - started_s)
        await self._commit({TP(topic, number): at for topic, at in positions.items()})

    async def _commit(self, positions: Mapping[TP, int]) -> None:
        """For others to see how far we are, and for a start without snapshots."""
        due = {tp: at for tp, at in positions.items() if tp in self._assigned and self._committed.get(tp) != at}
        if due and await self.app.batch_consumer.commit_positions(due):
            self._committed.update(due)
            self.stats.commits += 1

    async def _save_repeatedly(self) -> None:
        while True:
            spent_s = self.stats.snapshot_busy_s
            await self.save()
            spent_s = self.stats.snapshot_busy_s - spent_s
            await asyncio.sleep(max(self._snapshot_every_s, spent_s * _TIMES_PAUSE))

    async def _save_at_last(self) -> None:
        """Before partitions may go to others: wait for the batch under way and its acknowledgements, save, commit."""
        try:
            await asyncio.wait_for(self._save_what_is_ours(), _LAST_SAVE_S)
        except TimeoutError:
            waiting = sum(len(owned.acks) for owned in self._owned.values())
            _log.warning("worker.not_saved", agent=self.name, unacknowledged=waiting, reason="it took too long")

    async def _save_what_is_ours(self) -> None:
        while True:
            try:
                return await self.save()
            except SupersededError as error:  # the group finds out at the same time: no reason to end
                _log.warning("partition.superseded", agent=self.name, reason=str(error))

    def measure(self) -> None:
        """Bring the counters up to date that are not kept as things happen."""
        stats = self.stats
        stats.unacknowledged = sum(len(owned.acks) for owned in self._owned.values())
        stats.committed = {f"{tp.topic}/{tp.partition}": at for tp, at in sorted(self._committed.items())}
        lag: dict[str, int] = {}
        for tp in sorted(self._assigned):
            end = self.app.batch_consumer.end_of(tp)
            owned = self._owned.get(tp.partition)
            if end is not None and owned is not None and owned.partition is not None:
                lag[f"{tp.topic}/{tp.partition}"] = max(0, end.offset - owned.partition.positions[tp.topic])
        stats.lag = lag
        measure_partitions(self._owned, stats)

    # -- failures ------------------------------------------------------------------------------------------------

    async def _watched(self, work: Awaitable[None]) -> None:
        try:
            await work
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
