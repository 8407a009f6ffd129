"""Partitions in and out of the snapshot store: who owns one, where it goes on, what of it is safe.

    assigned ──▶ claim all ──▶ read the rules, once ──▶ load of each the newest usable snapshot ──▶ read from *its* positions
    saved    ◀── state and positions of one moment, after everything before that moment is acknowledged

A snapshot that cannot be used (torn, damaged, of a later version, not ours) is passed over with a warning and the one before it
taken. When there are some and none can be used, the agent does not start: beginning empty would lose what they remember.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from m1cep.errors import EngineError
from streams import snapshots
from streams.agents.acks import Acknowledgements
from streams.errors import ShellError
from streams.snapshots import PartitionSnapshot, SnapshotError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from streams.agents.partition import Partition
    from streams.snapshots import SnapshotStore

    #: Makes the state of a partition, by its number, that stands at positions: empty, or from what ``Partition.snapshot`` gave.
    OpenPartition = Callable[[int, Mapping[str, int], bytes | None], Partition]

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Owned:
    """A partition number that this worker owns.

    Attributes:
        generation: under which it may save snapshots.
        partition: its state; None until it is known where an empty one begins.
        acks: of what has left for it.
        changed: since the last snapshot.
        saved_s: the monotonic clock when nothing had changed that was not saved, the last time that this is known of.
    """

    generation: int
    partition: Partition | None = None
    acks: Acknowledgements = field(default_factory=Acknowledgements)
    changed: bool = False
    saved_s: float = field(default_factory=time.monotonic)


class Keeper:
    """Loads and saves the partitions of one agent.

    Args:
        agent: its name, part of each snapshot.
        store: where snapshots are kept.
        open_partition: makes the state of a partition (of a snapshot: in a thread); raises EngineError when a
            snapshot's state cannot go on.
        topics: the id of each input topic on this cluster.
        rules: version by id of the rules that run.
        before_restore: awaited once for all partitions that were claimed, before their snapshots are taken up.
    """

    def __init__(
        self,
        agent: str,
        store: SnapshotStore,
        open_partition: OpenPartition,
        topics: Mapping[str, str],
        rules: Mapping[str, str],
        before_restore: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._before_restore = before_restore
        self._agent = agent
        self._store = store
        self._topics = dict(topics)
        self._rules = dict(rules)
        self.open_partition = open_partition

    async def claim(self, number: int, owned: Owned | None) -> Owned:
        """Claim a partition that was assigned.

        Returns:
            ``owned``, whose state goes on, when nobody else has had the partition; else one whose state is to be loaded.

        Raises:
            StoreError: the store does not answer.
        """
        generation = await asyncio.to_thread(self._store.claim, number, owned.generation if owned else None)
        if owned is not None:
            if owned.generation == generation:
                return owned
            _log.warning("partition.superseded", agent=self._agent, partition=number, reason="another worker had it")
        return Owned(generation)

    async def before_loading(self) -> None:
        """What must be known before snapshots are taken up. After the claims: nobody saves what is newer from then on."""
        if self._before_restore is not None:
            await self._before_restore()

    async def save(self, number: int, generation: int, positions: Mapping[str, int], state: bytes) -> int:
        """Save a snapshot.

        Args:
            number: of the partition.
            generation: of the claim.
            positions: where it stands.
            state: as of the positions.

        Returns:
            Its size in bytes.

        Raises:
            SupersededError: another worker has claimed the partition.
            StoreError: it cannot be saved now.
        """
        topics = {topic: self._topics.get(topic, "") for topic in positions}
        content = PartitionSnapshot(self._agent, number, topics, dict(positions), self._rules, state)
        data = snapshots.encode(content)
        await asyncio.to_thread(self._store.save, number, generation, data)
        return len(data)

    def close(self) -> None:
        """Let go of the store's connections."""
        self._store.close()

    async def load(self, number: int) -> Partition | None:
        """The state of a partition as it was saved last; None: it never was.

        Raises:
            StoreError: the store does not answer.
            ShellError: there are snapshots and none can be used.
        """
        refused = 0
        saved = self._store.load(number)
        while found := await asyncio.to_thread(next, saved, None):
            try:
                snapshot = snapshots.decode(found.data)
                self._check(snapshot, number, found.name)
                # In a thread: it takes its time, and may ask others for what the state names.
                partition = await asyncio.to_thread(self.open_partition, number, snapshot.positions, snapshot.state)
            except (SnapshotError, EngineError) as error:
                refused += 1
                _log.warning("snapshot.refused", agent=self._agent, snapshot=found.name, reason=str(error))
                continue
            self._tell(number, snapshot, len(found.data))
            return partition
        if refused:
            raise ShellError(
                f"none of the {refused} snapshots of partition {number} in {self._store.where} can be used (the log says why)",
                "put back what was there, or remove them to begin with empty patterns where the group has committed",
            )
        return None

    def _check(self, snapshot: PartitionSnapshot, number: int, name: str) -> None:
        if (snapshot.agent, snapshot.partition) != (self._agent, number):
            raise SnapshotError(
                f"it is of partition {snapshot.partition} of agent {snapshot.agent}, expected partition {number} of "
                f"agent {self._agent}"
            )
        anew = [t for t, known in snapshot.topics.items() if t in self._topics and known != self._topics[t]]
        if anew:
            raise ShellError(
                f"topic {', '.join(anew)} was deleted and made anew since the snapshot {name} was saved: its offsets mean "
                "other records now",
                f"remove the snapshots of partition {number} in {self._store.where} to begin empty at the start of the topic",
            )

    def _tell(self, number: int, snapshot: PartitionSnapshot, size: int) -> None:
        _log.info("partition.restored", agent=self._agent, partition=number, positions=snapshot.positions, bytes=size)
        begin = sorted(rule for rule, version in self._rules.items() if snapshot.rules.get(rule) != version)
        if begin:
            _log.warning("rules.begin_empty", agent=self._agent, partition=number, rules=begin, reason="new or changed")
