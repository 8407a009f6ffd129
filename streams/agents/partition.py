"""What an agent keeps for one partition number, and what follows from a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from streams.codec import Message
    from streams.transport import Batch


@dataclass(slots=True)
class Outcome:
    """What follows from a batch, or from a topic falling silent."""

    events: int = 0
    rules: list[str] = field(default_factory=list)
    dead_letters: int = 0
    late: int = 0
    messages: list[Message] = field(default_factory=list)


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
