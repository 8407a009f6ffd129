"""What an agent keeps for one partition number, and what follows from a batch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from streams import codec
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.agents.outbox import Packet
    from streams.agents.stats import AgentStats
    from streams.codec import Message
    from streams.transport import Batch, Record


@dataclass(slots=True)
class Outcome:
    """What follows from a batch, or from a topic falling silent.

    Attributes:
        late: late events, by topic and reason.
        duplicates: repetitions of events, by topic.
        arrived_ms: when the events that decided alerts arrived (epoch), as far as is known.
    """

    events: int = 0
    rules: list[str] = field(default_factory=list)
    dead_letters: int = 0
    late: Counter[tuple[str, str]] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    messages: list[Message | Packet] = field(default_factory=list)
    arrived_ms: list[int] = field(default_factory=list)

    def refuse(self, about: codec.Source, reason: str, source: str) -> None:
        """A record that cannot be used goes to the dead letters."""
        self.dead_letters += 1
        self.messages.append(codec.dead_letter(about, reason, source))


class Partition(Protocol):
    """The state of one partition number over all topics of the agent, and the positions that it stands at.

    State and positions belong together: a snapshot of both can go on wherever and whenever it is loaded.
    """

    positions: dict[str, int]

    def take(self, batch: Batch) -> Outcome:
        """Process a batch that begins at or before the position of its topic."""

    def idle(self, topic: str) -> Outcome:
        """The topic is read to its end and silent."""

    def advance(self, time_us: int) -> Outcome:
        """All topics are silent, and event time has gone on to ``time_us`` (epoch, microseconds)."""

    @property
    def newest_us(self) -> int | None:
        """Where event time stands (epoch, microseconds); None before the first event, or when it means nothing to the agent."""

    @property
    def live(self) -> bool:
        """Whether events come about when they happen, so that a clock can say how time goes on without any."""

    def waiting(self) -> Mapping[str, int]:
        """How many rows of a topic wait for other topics; 0 of one that others wait for."""

    def snapshot(self) -> bytes:
        """The state as of ``positions``, which are not part of it."""

    def measure(self, number: int, stats: AgentStats) -> None:
        """Add to the counters that are not kept as things happen. Called about once a second, and when it is given up."""


class Timeless:
    """The part of a :class:`Partition` for which event time and silence mean nothing."""

    newest_us: int | None = None
    live = False

    def idle(self, _topic: str) -> Outcome:
        """Nothing follows."""
        return Outcome()

    def advance(self, _time_us: int) -> Outcome:
        """Nothing follows."""
        return Outcome()

    def waiting(self) -> Mapping[str, int]:
        """Nothing waits."""
        return {}

    def measure(self, _number: int, _stats: AgentStats) -> None:
        """Nothing is counted here."""


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
