"""The book as a machine that :class:`~streams.agents.solo.Solo` feeds: it hears and says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from m1cep.errors import EngineError, PretradeError
from m1cep.pretrade import Hearing, snapshot
from streams.rpc.service import now_ms

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from m1cep.pretrade import Book
    from streams.agents.outbox import Packet
    from streams.agents.solo import Stand
    from streams.agents.stats import AgentStats
    from streams.codec import Message
    from streams.rpc.freshness import Freshness
    from streams.transport import Record

_log = structlog.get_logger(__name__)

_LOGGED = 5  # refused records; all are counted


class Feed:
    """Takes records into the book, and lets go of what was never confirmed.

    Args:
        book: the state.
        topics: kind (see ``m1cep.pretrade.records``) by topic.
        freshness: told how far everything has been read.
        stats: of the agent.
    """

    def __init__(self, book: Book, topics: Mapping[str, str], freshness: Freshness, stats: AgentStats) -> None:
        self._book, self._topics, self._freshness, self._stats = book, topics, freshness, stats
        self._hearing = Hearing(book, book.rules.refuse_alerts)

    def take(self, topic: str, partition: int, record: Record) -> Sequence[Message | Packet]:
        """Hear a record; one that does not fit is counted, and is the dead letter of whoever else reads the topic."""
        try:
            self._hearing.hear(self._topics[topic], record.value, now_ms())
        except PretradeError as error:
            self._stats.dead_letters += 1
            if self._stats.dead_letters <= _LOGGED:
                _log.warning("pretrade.refused", at=f"{topic}/{partition}/{record.offset}", reason=str(error))
        return ()

    def looked(self, stands: Mapping[Hashable, Stand]) -> None:
        """How the partitions stand after a look at them."""
        self._freshness.look(stands, now_ms())

    def tick(self, _now_ms: int) -> Sequence[Message | Packet]:
        """Nothing is said."""
        if self._freshness.read_until_ms is not None:
            self._book.lapse(self._freshness.read_until_ms)
            self._stats.forgotten_symbols = self._book.forgotten_markets
        return ()

    def snapshot(self) -> bytes:
        """The book."""
        return snapshot.dump(self._book)

    def load(self, state: bytes) -> Sequence[Message | Packet]:
        """Take it over.

        Raises:
            EngineError: it cannot be used.
        """
        try:
            snapshot.load(self._book, state, now_ms(), market="market" in self._topics.values())
        except PretradeError as error:
            raise EngineError(str(error)) from error
        return ()
