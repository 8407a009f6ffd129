"""Records of topics into the books of all shards, each record once, whatever crashes in between.

    records ──▶ postings ──▶ by shard ──▶ one transaction: positions, postings, balances
                    │                          │
                    └── no posting can be made └── refused ──▶ dead letters, before the transaction is committed

A shard that was committed before a crash has its positions: it leaves out what it has booked when the records come again.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import psycopg
import structlog

from m1cep.errors import LedgerError
from streams import codec
from streams.errors import ServerError
from streams.ledger.router import shard_of
from streams.ledger.shard import Item, Move, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from aiokafka import TopicPartition

    from m1cep.ledger import Posting
    from streams.codec import Message
    from streams.ledger.shard import Booked, Place, Shard
    from streams.transport import Record

    #: Postings of a record's value; raises LedgerError.
    Reader = Callable[[bytes | None], Sequence[Posting]]

T = TypeVar("T")
_log = structlog.get_logger(__name__)

SOURCE = "/m1cep/ledger"
#: A hold is over when event time is so far beyond its end: its payment may still be on its way.
LATENESS_MS = 60_000
_PATIENCE_S = 300.0
_RETRY_S, _RETRY_MOST_S = 0.1, 2.0


@dataclass(slots=True)
class Tally:
    """What came of records."""

    posted: int = 0
    seen: int = 0
    expired: int = 0
    waiting: int = 0  # put aside for lack of funds, some of them posted since
    lost: int = 0  # connections to databases
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # by the error's code

    def add(self, booked: Booked, refused: Sequence[LedgerError]) -> None:
        """What came of a shard's part."""
        for error in refused:
            self.refused[error.code] += 1
        self.posted += booked.posted
        self.seen += booked.seen
        self.expired += booked.expired
        self.waiting += booked.waiting


class _Made(NamedTuple, Generic[T]):
    """Something that was made of a record, and where that stands."""

    tp: TopicPartition
    offset: int
    made: T


class Bookkeeper:
    """See the module. Its methods block: call them in one thread.

    Args:
        shards: in the order of their numbers.
        readers: what makes postings of a topic's records.
        places: where each partition's position is kept.
        tell: writes dead letters, and returns when they are acknowledged.
        now_ms: the clock: an event's time is not believed to be beyond it.

    Attributes:
        tally: since the start.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        readers: Mapping[str, Reader],
        places: Mapping[TopicPartition, Place],
        tell: Callable[[list[Message]], None],
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self.tally = Tally()
        self._shards, self._readers, self._places, self._tell = shards, readers, dict(places), tell
        self._now_ms, self._patience_s = now_ms, patience_s
        self._at: list[dict[TopicPartition, int]] = []
        self._time_ms = 0
        self._newest_ms: dict[TopicPartition, int] = {}  # event time of each partition
        self._stopped = threading.Event()

    def open(self) -> dict[TopicPartition, int]:
        """Where to read on: the first offset of each partition that some shard has not booked.

        Raises:
            ServerError: a database does not answer.
        """
        return self._patiently(self._load)

    def book(self, found: Mapping[TopicPartition, Sequence[Record]], behind: Collection[TopicPartition] = ()) -> None:
        """Book records, which follow on those before. Databases that are away are waited for.

        Args:
            found: the records.
            behind: partitions that have more: time goes no further than they have come, so that what waits for funds does not
                give up before what would bring them was read.

        Raises:
            ServerError: one was away for too long; what it has is known when it is there again.
            MovedError: another agent books the same topics.
        """
        self._patiently(lambda: self._book(found, behind))

    def stop(self) -> None:
        """Do not wait for databases any more. From any thread."""
        self._stopped.set()

    # -- a batch

    def _book(self, found: Mapping[TopicPartition, Sequence[Record]], behind: Collection[TopicPartition]) -> None:
        if not self._at:
            self._load()
        lots, bad = self._sorted(found)
        self._go_on(behind)
        for shard, items, at in zip(self._shards, lots, self._at, strict=True):
            moves = [
                Move(self._places[tp], at[tp], records[-1].offset + 1, self._time_ms)
                for tp, records in sorted(found.items())
                if records[-1].offset >= at[tp]
            ]
            if not moves:
                continue
            fresh, reused = self._own_ids(shard, [one.made for one in items if one.offset >= at[one.tp]])
            with shard.writing() as batch:
                batch.advance(moves)
                booked = batch.post(fresh, self._time_ms - LATENESS_MS)
                refused = [(one.record, one.error) for one in (*reused, *booked.refused)]
                if shard is self._shards[0]:  # what makes no posting is nobody's: the first one counts it
                    refused += [one.made for one in bad if one.offset >= at[one.tp]]
                if refused:
                    self._tell([codec.dead_letter(record, str(error), SOURCE) for record, error in refused])
            for tp, records in found.items():
                at[tp] = max(at[tp], records[-1].offset + 1)
            self.tally.add(booked, [error for _, error in refused])

    def _own_ids(self, shard: Shard, items: list[Item]) -> tuple[list[Item], list[Refused]]:
        """Items whose ids no other shard has used: of one database its index sees to that, of several nobody else does."""
        names = {item.posting.id for item in items}
        theirs = {name for other in self._shards if other is not shard for name in other.known(names)}
        if not theirs:
            return items, []
        reused = [
            Refused(
                item.record,
                LedgerError(
                    "id_reused", f"{item.posting.id} was posted before for somebody else; a new event needs a new id"
                ),
            )
            for item in items
            if item.posting.id in theirs
        ]
        return [item for item in items if item.posting.id not in theirs], reused

    def _sorted(
        self, found: Mapping[TopicPartition, Sequence[Record]]
    ) -> tuple[list[list[_Made[Item]]], list[_Made[tuple[codec.Source, LedgerError]]]]:
        """Postings by shard, and what makes none, with the reason.

        In the order of time between topics, in that of the offsets within a partition.
        """
        made: list[tuple[int, _Made[Item]]] = []
        bad = []
        for tp, records in sorted(found.items()):
            newest_ms, read = 0, self._readers[tp.topic]
            for record in records:
                source = codec.Source(tp.topic, tp.partition, record.offset, record.timestamp, record.key, record.value)
                try:
                    postings = read(record.value)
                except LedgerError as error:
                    bad.append(_Made(tp, record.offset, (source, error)))
                    continue
                for posting in postings:
                    newest_ms = max(newest_ms, posting.time_ms)
                    made.append((newest_ms, _Made(tp, record.offset, Item(posting, source))))
            self._newest_ms[tp] = max(newest_ms, self._newest_ms.get(tp, 0))
        made.sort(key=lambda one: one[0])  # stable
        lots: list[list[_Made[Item]]] = [[] for _ in self._shards]
        for _, one in made:
            lots[shard_of(one.made.posting.owner, len(self._shards))].append(one)
        return lots, bad

    def _go_on(self, behind: Collection[TopicPartition]) -> None:
        times_ms = [self._newest_ms.get(tp, 0) for tp in behind] or list(self._newest_ms.values())
        come = min(times_ms) if behind else max(times_ms, default=0)
        self._time_ms = max(self._time_ms, min(come, self._now_ms()))

    # -- servers that are away

    def _load(self) -> dict[TopicPartition, int]:
        places = {place: tp for tp, place in self._places.items()}
        self._at = [
            {places[place]: at for place, at in shard.positions(self._places.values()).items()}
            for shard in self._shards
        ]
        self._time_ms = max(self._time_ms, *(shard.time_ms() for shard in self._shards))
        return {tp: min(at[tp] for at in self._at) for tp in self._places}

    def _patiently(self, act: Callable[[], T]) -> T:
        """Do something, again while a database is away. What was committed unnoticed shows in the positions."""
        deadline, wait_s = time.monotonic() + self._patience_s, _RETRY_S
        while True:
            try:
                return act()
            except psycopg.OperationalError as error:
                self._at = []
                self.tally.lost += 1
                for shard in self._shards:
                    shard.disconnect()
                reason = str(error).strip().partition("\n")[0] or type(error).__name__
                if self._stopped.is_set() or time.monotonic() > deadline:
                    raise ServerError(f"the ledger's database does not answer: {reason}") from error
                _log.warning("ledger.waits", reason=reason, retry_s=wait_s)
                self._stopped.wait(wait_s)
                wait_s = min(2 * wait_s, _RETRY_MOST_S)
