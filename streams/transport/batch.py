"""What the transport hands to an agent: all records of one fetch of one partition, as one value."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faust.types import TP


class Record(Protocol):
    """One record as aiokafka's parser makes it (its own class is written in C and has no Python name to import)."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int | None: ...
    @property
    def timestamp_type(self) -> int | None: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Batch(NamedTuple):
    """The records of one partition that one fetch brought, in offset order, at least one.

    Successive batches of a partition join without a hole: ``next`` of one is ``prev_next`` of the following one. Both
    are *positions*, not record offsets: a compacted topic, a transaction marker or an aborted transaction leaves
    offsets that no record has, and those lie inside a batch's span like any other. So ``prev_next <= records[0].offset``
    and ``records[-1].offset < next`` always hold, and ``prev_next`` differing from the reader's own position can only
    mean that a batch was lost or repeated on its way, never that the topic was compacted.

    Attributes:
        topic, partition: where the records come from.
        epoch: grows by one with every seek; a batch of an older epoch was read before the seek and must be dropped.
        prev_next: the position from which this batch was read: where the last one ended, or where the seek went.
        next: the position after this batch; what to commit once it is processed.
        records: in offset order.
    """

    topic: str
    partition: int
    epoch: int
    prev_next: int
    next: int
    records: Sequence[Record]

    @property
    def offset(self) -> int:
        """Offset of the *last* record, which is the one that Faust is told.

        With the first it would drop batches after a rebalance and, with acknowledgements, stop committing on a fresh partition.
        """
        return self.records[-1].offset


class EndOfPartition(NamedTuple):
    """How far a partition is written, as the last answer of the broker says.

    Attributes:
        offset: where the next record will be: for readers of committed data, the last stable offset.
        answered_ms: wall clock of that answer, epoch milliseconds; only good for telling a new answer from an old one.
    """

    offset: int
    answered_ms: int


class Start(NamedTuple):
    """Where reading starts after an assignment.

    Attributes:
        epoch: of every batch read from here on.
        positions: where each assigned partition of the batch topics is read from.
        expired: partitions whose wanted position is gone by retention, with the number of offsets lost.
        others: committed offsets of partitions that are not read in batches.
    """

    epoch: int
    positions: dict[TP, int]
    expired: dict[TP, int]
    others: dict[TP, int]
