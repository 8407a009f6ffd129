"""Reading along: a topic, and a file that another process writes."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Self

import structlog
from aiokafka import AIOKafkaConsumer

from streams.codec import ALERTS
from streams.security import for_aiokafka

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.config import Settings

_log = structlog.get_logger(__name__)

_POLL_MS = 200


class TopicTail:
    """A topic from its beginning, read in a thread; each record with the wall time at which it was there.

    aiokafka reads it, with a third of the work that kafka-python makes of asking so often.

    Args:
        settings: where the broker is.
        topic: its name; it must be there.
        wait_ms: for something new, before asking again.
    """

    def __init__(self, settings: Settings, topic: str = ALERTS, *, wait_ms: int = 20) -> None:
        self._settings, self._topic, self._wait_ms = settings, topic, wait_ms
        self._queue: queue.SimpleQueue[tuple[bytes, float]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"tail-{topic}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def take(self) -> Iterator[tuple[bytes, float]]:
        """The records' values since the last call."""
        while True:
            try:
                yield self._queue.get_nowait()
            except queue.Empty:
                return

    def _run(self) -> None:
        # A broker that is gone shows where the processes are looked at; aiokafka would report each retry besides.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        try:
            asyncio.run(self._read())
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever the client makes of a broker that is gone
            _log.debug("tail.ended", topic=self._topic, error=repr(error))

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            self._topic,
            **for_aiokafka(self._settings.client_settings()),
            client_id=f"m1cep-demo-{self._topic}",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self._wait_ms,
        )
        await consumer.start()
        try:
            while not self._stop.is_set():
                found = await consumer.getmany(timeout_ms=_POLL_MS)
                wall_s = time.time()
                for records in found.values():
                    for record in records:
                        self._queue.put((record.value, wall_s))
        finally:
            await consumer.stop()


class LineTail:
    """The whole lines that were added to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def lines(self) -> list[bytes]:
        """New lines, without their ends."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self._at += end
        return data[:end].splitlines()
