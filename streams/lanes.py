"""Batches of records for kafka-python's producer, encoded by aiokafka's compiled builder: a lane for each partition.

What is used of kafka-python beyond its documented interface is in this module: the accumulator's queues and locks, the
waking of its sender, and what its sender asks of the records of a batch. ``tests/streams/test_producer.py`` compares all of
it with the installed version.
"""

# ruff: noqa: SLF001

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from kafka.errors import KafkaError
from kafka.producer.producer_batch import ProducerBatch

if TYPE_CHECKING:
    from kafka import KafkaProducer
    from kafka.structs import TopicPartition

BATCH_BYTES = 256 * 1024  # below every broker's limit, so that a refusal names one record that is too large
CLOSE_S = 5.0


class Batch:
    """The records of a batch as kafka-python's accumulator and sender want them (its ``MemoryRecordsBuilder``)."""

    producer_id = producer_epoch = base_sequence = -1

    __slots__ = ("_buffer", "_builder", "_count", "future", "where")

    def __init__(self, room: int) -> None:
        # The first record always fits, so a large one gets a batch that has no room for a second.
        limit = BATCH_BYTES if room <= BATCH_BYTES // 2 else 0
        self._builder: Any = DefaultRecordBatchBuilder(
            magic=2,
            compression_type=0,
            is_transactional=0,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=limit,
        )
        self._buffer: bytearray | None = None
        self._count = 0
        self.future: Any = None
        self.where = ""

    def append(self, timestamp_ms: int, key: bytes | None, value: bytes | None, headers: Any = ()) -> Any:
        """None: closed or full."""
        if self._buffer is not None:
            return None
        done = self._builder.append(self._count, timestamp_ms, key, value, list(headers))
        if done is not None:
            self._count += 1
        return done

    def close(self) -> None:
        if self._buffer is None:
            self._buffer = self._builder.build()
            self._builder = None

    def buffer(self) -> bytearray:
        self.close()
        assert self._buffer is not None
        return self._buffer

    def size_in_bytes(self) -> int:
        builder = self._builder
        return len(self._buffer) if self._buffer is not None else builder.size() if builder is not None else 0

    def is_full(self) -> bool:
        return self._buffer is not None or self._builder.size() >= BATCH_BYTES

    def next_offset(self) -> int:
        return self._count

    def error(self) -> Exception | None:
        """Of a finished batch: why the broker did not take it."""
        if self.future.failed():
            return self.future.exception  # type: ignore[no-any-return]
        explain = self.future.value[2]
        return explain(0) if explain is not None else None


class QueuedBatch(ProducerBatch):  # type: ignore[misc]  # Any to mypy
    """kafka-python splits a batch that the broker finds too large, and forgets its future; this one is refused whole."""

    record_count = 1


class Lane:
    """A partition of a topic and the batch that is being filled for it."""

    __slots__ = ("_accumulator", "_batch", "_kafka", "_lock", "_partition")

    def __init__(self, kafka: KafkaProducer, partition: TopicPartition) -> None:
        self._kafka = kafka
        self._accumulator = kafka._accumulator
        self._lock = self._accumulator._tp_lock(partition)
        self._partition = partition
        self._batch: Batch | None = None

    def append(self, timestamp_ms: int, key: bytes | None, value: bytes) -> bool:
        """Put a record into the open batch; False when there is none with room for it."""
        with self._lock:  # the sender closes batches under it
            batch = self._batch
            return batch is not None and batch.append(timestamp_ms, key, value) is not None

    def open(self, timestamp_ms: int, key: bytes | None, value: bytes) -> Batch:
        """A new batch with its first record, in kafka-python's queue at once: its linger time runs from here."""
        batch = Batch(len(value) + len(key or b""))
        batch.append(timestamp_ms, key, value)  # before it is queued: the sender must never find an empty one
        queued = QueuedBatch(self._partition, batch)
        batch.future = queued.produce_future
        batch.where = f"{self._partition.topic}, partition {self._partition.partition}"
        with self._lock:
            self._accumulator._batches[self._partition].append(queued)
            self._accumulator._incomplete.add(queued)
            self._batch = batch
        self._kafka._sender.wakeup()
        return batch

    def close(self) -> None:
        """Send what is in the open batch without waiting for more."""
        with self._lock:
            if self._batch is not None:
                self._batch.close()
                self._batch = None
        self._kafka._sender.wakeup()


def force_close(kafka: KafkaProducer) -> None:
    """Close at once. kafka-python's own ``close`` raises when something is still unsent, and leaves its thread running."""
    kafka._sender.force_close()
    kafka._sender.join(CLOSE_S)
    with contextlib.suppress(KafkaError):
        kafka.close(timeout=0)
