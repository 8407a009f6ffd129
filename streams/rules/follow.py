"""Reads the rules topic to its end, and on, in the worker's event loop; records are compiled in a thread."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.errors import ShellError
from streams.rules.record import RULES
from streams.security import for_aiokafka

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.rules.book import Book

_log = structlog.get_logger(__name__)

_PART = TopicPartition(RULES, 0)
_STOP_S = 2.0
_MORE_MS = 50  # the embedded broker may name an end before the last batch: so long is waited for more


class Follower:
    """Keeps a book as the topic says.

    Args:
        client: settings of the Kafka client.
        book: takes what the records say.
        wait_ms: how long the broker may wait for a record.
    """

    def __init__(self, client: Mapping[str, Any], book: Book, wait_ms: int = 100) -> None:
        self.book = book
        self.position = 0
        self._wait_ms = wait_ms
        self._reading = asyncio.Lock()
        self._consumer = AIOKafkaConsumer(
            **for_aiokafka(client),
            client_id="m1cep-rules",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=wait_ms,
            metadata_max_age_ms=60_000,
        )

    async def start(self) -> None:
        """Connect, and read to the end. The topic must be there.

        Raises:
            KafkaError: the broker does not answer.
        """
        await self._consumer.start()
        self._consumer.assign([_PART])
        await self._consumer.seek_to_beginning(_PART)
        await self.catch_up()

    async def catch_up(self) -> None:
        """Read all that is there now.

        Raises:
            KafkaError: the broker does not answer.
        """
        end = (await self._consumer.end_offsets([_PART]))[_PART]
        async with self._reading:
            while await self._read(_MORE_MS) or self.position < end:
                pass

    async def wait(self) -> None:
        """Read what comes next, for a while."""
        async with self._reading:
            await self._read(self._wait_ms * 2)

    async def _read(self, timeout_ms: int) -> bool:
        """Whether something came, or the position has gone on."""
        before = self.position
        found = await self._consumer.getmany(_PART, timeout_ms=timeout_ms)
        newest = {record.key: record for record in found.get(_PART, ())}  # of a rule only the last record counts
        for record in newest.values():
            try:
                standing = await asyncio.to_thread(self.book.prepare, record.key, record.value)
            except ShellError as error:
                _log.error("rules.refused", key=repr(record.key), offset=record.offset, reason=str(error))
                self.book.refuse(record.key, error)
            else:
                self.book.put(record.key, standing)
        self.position = await self._consumer.position(_PART)
        return bool(found) or self.position > before

    async def stop(self) -> None:
        """Let go of the broker, which may be gone."""
        stopping = asyncio.ensure_future(self._consumer.stop())
        await asyncio.wait({stopping}, timeout=_STOP_S)
        if stopping.done() and not stopping.cancelled() and stopping.exception() is not None:
            _log.debug("rules.stop_failed", error=repr(stopping.exception()))
