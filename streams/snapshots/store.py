"""What keeps snapshots: a few of the newest of each partition, and who owns the partition now.

A worker that was paused and comes back must not put its old state over that of its successor. So every owner *claims* the
partition first and gets a generation, higher than all before; a snapshot is saved under it, and one of an older generation
never counts again. Kafka's own generation of a group would not do: it begins anew when the group is deleted or expires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from streams.errors import ServerError, ShellError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Snapshots of a partition that are kept: one could be damaged by what holds it, and the next by the same.
KEPT = 3


class SupersededError(ShellError):
    """Another worker owns the partition since."""


class StoreError(ServerError):
    """The store cannot be read or written now: it is full, away, or not permitted. What it held it still holds."""


class Saved(NamedTuple):
    """A snapshot as it was saved.

    Attributes:
        name: where it is, for messages.
        data: its bytes, as given to ``save``.
    """

    name: str
    data: bytes


class SnapshotStore(Protocol):
    """Snapshots of the partitions of one consumer group on one cluster. Its methods block: call them in a thread."""

    where: str  # for messages: a folder, or a database without its password

    def claim(self, partition: int, mine: int | None = None) -> int:
        """Become the owner of a partition.

        Args:
            partition: its number.
            mine: the generation that the caller has from an earlier claim.

        Returns:
            ``mine`` when nobody has claimed since; else a new generation, higher than all before.

        Raises:
            StoreError: it cannot be written.
        """

    def load(self, partition: int) -> Iterator[Saved]:
        """Snapshots of a partition, the newest of the highest generation first; each is read when it is asked for.

        Raises:
            StoreError: it cannot be read.
        """

    def check(self, partition: int, generation: int) -> None:
        """Ask whether the partition still is that owner's.

        Raises:
            SupersededError: it was claimed by another.
            StoreError: it cannot be read.
        """

    def save(self, partition: int, generation: int, data: bytes) -> None:
        """Keep a snapshot, whole or not at all: it outlives a crash of this machine once the call returns.

        Raises:
            SupersededError: the partition was claimed by another.
            StoreError: it cannot be written; what was there before still is.
        """

    def close(self) -> None:
        """Let go of connections."""
