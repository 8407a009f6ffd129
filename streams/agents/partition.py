"""What an agent keeps for one partition number, and what follows from a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from streams import codec
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.agents.outbox import Packet
    from streams.codec import Message
    from streams.transport import Batch, Record


@dataclass(slots=True)
class Outcome:
    """What follows from a batch, or from a topic falling silent."""

    events: int = 0
    rules: list[str] = field(default_factory=list)
    dead_letters: int = 0
    late: int = 0
    messages: list[Message | Packet] = field(default_factory=list)


class Partition(Protocol):
    """The state of one partition number over all topics of the agent, and the positions that it stands at.

    State and positions belong together: a snapshot of both can go on wherever and whenever it is loaded.
    """

    positions: dict[str, int]

    def take(self, batch: Batch) -> Outcome:
        """Process a batch that begins at or before the position of its topic."""

    def idle(self, topic: str) -> Outcome:
        """The topic is read to its end and silent."""

    def snapshot(self) -> bytes:
        """The state as of ``positions``, which are not part of it."""


def fresh_records(batch: Batch, position: int) -> Sequence[Record]:
    """The records of a batch at or after a position.

    Raises:
        ShellError: records are missing between the position and the batch.
    """
    if batch.prev_next > position:
        raise ShellError(
            f"records are missing: {batch.topic} partition {batch.partition} is processed up to offset {position}, "
            f"but the next batch begins at {batch.prev_next}",
            "start the worker again: it reads them from the last commit",
        )
    if batch.records[0].offset >= position:
        return batch.records
    return [record for record in batch.records if record.offset >= position]


def source_of(batch: Batch, record: Record) -> codec.Source:
    """The record as what a dead letter or a late event is about."""
    return codec.Source(batch.topic, batch.partition, record.offset, record.timestamp, record.key, record.value)
