"""Reading along: a topic, and a file that another process writes."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Self

from kafka import KafkaConsumer, TopicPartition

from streams.codec import ALERTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.config import Settings


class TopicTail:
    """A topic from its beginning, read in a thread; each record with the wall time at which it was there.

    Args:
        settings: where the broker is.
        topic: its name.
        wait_ms: for something new, before asking again.
    """

    def __init__(self, settings: Settings, topic: str = ALERTS, *, wait_ms: int = 10) -> None:
        self._queue: queue.SimpleQueue[tuple[bytes, float]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._consumer = KafkaConsumer(
            **settings.client_settings(),
            enable_auto_commit=False,
            group_id=None,
            fetch_max_wait_ms=wait_ms,
            fetch_min_bytes=1,
        )
        partitions = self._consumer.partitions_for_topic(topic) or set()
        self._consumer.assign([TopicPartition(topic, p) for p in sorted(partitions)])
        self._consumer.seek_to_beginning()
        self._thread = threading.Thread(target=self._read, name=f"tail-{topic}", daemon=True)

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

    def _read(self) -> None:
        while not self._stop.is_set():
            found = self._consumer.poll(timeout_ms=20)
            wall_s = time.time()
            for records in found.values():
                for record in records:
                    self._queue.put((record.value, wall_s))
        self._consumer.close()


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
