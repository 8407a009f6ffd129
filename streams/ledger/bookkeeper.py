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
from typing import TYPE_CHECKING, TypeVar

import psycopg
import structlog

from m1cep.errors import LedgerError
from streams import codec
from streams.errors import ServerError
from streams.ledger.router import shard_of
from streams.ledger.shard import Item, Move

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiokafka import TopicPartition

    from m1cep.ledger import Posting
    from streams.codec import Message
    from streams.ledger.shard import Booked, Place, Refused, Shard
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
    moving_nothing: int = 0
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # by the error's code

    def add(self, booked: Booked) -> None:
        """What came of a shard's part."""
        self.posted += booked.posted
        self.seen += booked.seen
        self.expired += booked.expired
        self.waiting += booked.waiting


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
        self._stopped = threading.Event()

    def open(self) -> dict[TopicPartition, int]:
        """Where to read on: the first offset of each partition that some shard has not booked.

        Raises:
            ServerError: a database does not answer.
        """
        return self._patiently(self._load)

    def book(self, found: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Book records, which follow on those before. Databases that are away are waited for.

        Raises:
            ServerError: one was away for too long; what it has is known when it is there again.
            MovedError: another agent books the same topics.
        """
        self._patiently(lambda: self._book(found))

    def stop(self) -> None:
        """Do not wait for databases any more. From any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Let go of connections."""
        for shard in self._shards:
            shard.disconnect()

    # -- a batch

    def _book(self, found: Mapping[TopicPartition, Sequence[Record]]) -> None:
        if not self._at:
            self._load()
        lots, bad = self._sorted(found)
        for shard, items, at in zip(self._shards, lots, self._at, strict=True):
            moves = [
                Move(self._places[tp], at[tp], records[-1].offset + 1, self._time_ms)
                for tp, records in sorted(found.items())
                if records[-1].offset >= at[tp]
            ]
            if not moves:
                continue
            with shard.writing() as batch:
                batch.advance(moves)
                fresh = [item for record_at, item in items if record_at[1] >= at[record_at[0]]]
                booked = batch.post(fresh, self._time_ms - LATENESS_MS)
                letters = self._letters(booked.refused)
                if shard is self._shards[0]:
                    letters += [letter for (tp, offset), letter in bad if offset >= at[tp]]
                if letters:
                    self._tell(letters)
            for tp, records in found.items():
                at[tp] = max(at[tp], records[-1].offset + 1)
            self.tally.add(booked)

    def _sorted(
        self, found: Mapping[TopicPartition, Sequence[Record]]
    ) -> tuple[list[list[tuple[tuple[TopicPartition, int], Item]]], list[tuple[tuple[TopicPartition, int], Message]]]:
        """Postings by shard, and dead letters of what makes none; each with where it came from.

        In the order of time between topics, in that of the offsets within a partition.
        """
        made: list[tuple[int, tuple[TopicPartition, int], Item]] = []
        bad = []
        for tp, records in sorted(found.items()):
            newest_ms, read = 0, self._readers[tp.topic]
            for record in records:
                try:
                    postings = read(record.value)
                except LedgerError as error:
                    bad.append(((tp, record.offset), codec.dead_letter(_source(tp, record), str(error), SOURCE)))
                    self.tally.refused[error.code] += 1
                    continue
                self.tally.moving_nothing += not postings
                for posting in postings:
                    newest_ms = max(newest_ms, posting.time_ms)
                    made.append((newest_ms, (tp, record.offset), Item(posting, _source(tp, record))))
        made.sort(key=lambda one: one[0])  # stable
        lots: list[list[tuple[tuple[TopicPartition, int], Item]]] = [[] for _ in self._shards]
        for _, record_at, item in made:
            lots[shard_of(item.posting.owner, len(self._shards))].append((record_at, item))
        if made:
            self._time_ms = max(self._time_ms, min(made[-1][0], self._now_ms()))
        return lots, bad

    def _letters(self, refused: Sequence[Refused]) -> list[Message]:
        for one in refused:
            self.tally.refused[one.error.code] += 1
        return [codec.dead_letter(one.item.record, str(one.error), SOURCE) for one in refused]

    # -- servers that are away

    def _load(self) -> dict[TopicPartition, int]:
        places = {place: tp for tp, place in self._places.items()}
        self._at = [
            {places[place]: at for place, at in shard.positions(self._places.values()).items()}
            for shard in self._shards
        ]
        return {tp: min(at[tp] for at in self._at) for tp in self._places}

    def _patiently(self, act: Callable[[], T]) -> T:
        """Do something, again while a database is away. What was committed unnoticed shows in the positions."""
        deadline, wait_s = time.monotonic() + self._patience_s, _RETRY_S
        while True:
            try:
                return act()
            except psycopg.OperationalError as error:
                self._at = []
                for shard in self._shards:
                    shard.disconnect()
                reason = str(error).strip().partition("\n")[0] or type(error).__name__
                if self._stopped.is_set() or time.monotonic() > deadline:
                    raise ServerError(f"the ledger's database does not answer: {reason}") from error
                _log.warning("ledger.waits", reason=reason, retry_s=wait_s)
                self._stopped.wait(wait_s)
                wait_s = min(2 * wait_s, _RETRY_MOST_S)


def _source(tp: TopicPartition, record: Record) -> codec.Source:
    return codec.Source(tp.topic, tp.partition, record.offset, record.timestamp, record.key, record.value)
