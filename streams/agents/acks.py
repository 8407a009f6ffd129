"""Acknowledgements that the broker still owes: for what leaves on behalf of one partition."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Acknowledgements:
    """Futures of messages, in the order in which they were sent."""

    def __init__(self) -> None:
        self._pending: deque[asyncio.Future[Any]] = deque()

    def add(self, futures: Iterable[asyncio.Future[Any]]) -> None:
        """Messages are on their way.

        Raises:
            KafkaError: the broker has refused an earlier one, or not answered in time.
        """
        self._pending.extend(futures)
        self.check()

    def check(self) -> None:
        """Forget what is acknowledged.

        Raises:
            KafkaError: the broker has refused a message, or not answered in time.
        """
        while self._pending and self._pending[0].done():
            self._pending.popleft().result()

    def pending(self) -> Sequence[asyncio.Future[Any]]:
        """What is on its way now, for :func:`acknowledged`."""
        return tuple(self._pending)

    def __len__(self) -> int:
        """Messages that are not acknowledged."""
        return len(self._pending)


async def acknowledged(pending: Sequence[asyncio.Future[Any]]) -> None:
    """Wait until the broker has acknowledged all of these.

    Raises:
        KafkaError: it has refused one, or not answered in time.
    """
    if pending:
        await asyncio.wait(pending)
        for future in pending:
            future.result()
