"""Events to Kafka: kafka-python's producer with whole batches handed to it.

kafka-python does what a client is for: connections, metadata, leaders, requests, retries, acknowledgements. Its ``send()``
costs 35 us an event in pure Python, most of it CRC and encoding: 28 k events/s. Here the open batch of each partition is
filled by aiokafka's compiled record builder (``streams.lanes``) and put where ``send()`` would have put its own: 200-370 k
events/s, the same bytes on the wire. Batches close when full or after ``linger_ms``, as always.

The record's timestamp is the time of sending, not the event's: Kafka 4 refuses records an hour ahead, and deletes by
it those that are older than the retention; event time is the engine's business and a column of the event.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import orjson
from kafka import KafkaProducer
from kafka.errors import KafkaConfigurationError, KafkaError
from kafka.partitioner.default import murmur2
from kafka.structs import TopicPartition

from streams.errors import ServerError, UsageError
from streams.lanes import BATCH_BYTES, Batch, Lane, force_close
from streams.security import check_access

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType


QUEUE_BYTES = 32 * 1024 * 1024  # not acknowledged: more waits
MAX_REQUEST_BYTES = 16 * 1024 * 1024


class StreamInfo(Protocol):
    """What the producer needs of a ``m1cep`` Stream."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> tuple[str, ...]: ...


class DeliveryError(ServerError):
    """The broker did not take events.

    Attributes:
        failed: how many events were refused or never acknowledged.
        sent: how many were handed to the producer until then.
    """

    def __init__(self, message: str, remedy: str, *, failed: int, sent: int) -> None:
        self.failed = failed
        self.sent = sent
        super().__init__(message, remedy)


@dataclass(slots=True)
class Counts:
    """Events handed over, acknowledged and failed, and bytes of values."""

    sent: int = 0
    acknowledged: int = 0
    failed: int = 0
    bytes: int = 0


class Producer:
    """Sends events of declared streams; a context manager, for one thread.

    Args:
        client_settings: ``Settings.client_settings()``, or at least ``bootstrap_servers``.
        streams: name -> Stream.
        linger_ms: how long a batch that is not full waits for more.
        connect_timeout_s: for the first answer of the broker.
        delivery_timeout_s: for the acknowledgement of a batch, retries included.

    Raises:
        ServerError: no broker answers.
    """

    def __init__(
        self,
        client_settings: Mapping[str, Any],
        streams: Mapping[str, StreamInfo],
        *,
        linger_ms: int = 5,
        connect_timeout_s: float = 5.0,
        delivery_timeout_s: float = 30.0,
    ) -> None:
        self._broker = client_settings.get("bootstrap_servers", "?")
        self._streams = dict(streams)
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._routes: dict[tuple[str, bytes | None], Lane] = {}
        self._keyless = 0
        self._waiting: deque[Batch] = deque()
        self._delivery_timeout_s = delivery_timeout_s
        self._first_failure: tuple[str, Exception] | None = None
        self.counts = Counts()
        check_access(client_settings)
        try:
            self._kafka = KafkaProducer(
                **client_settings,
                acks="all",
                enable_idempotence=False,  # the embedded broker knows no producer ids
                max_in_flight_requests_per_connection=1,  # so a retry cannot overtake what follows it
                compression_type=None,
                linger_ms=linger_ms,
                batch_size=BATCH_BYTES,
                max_request_size=MAX_REQUEST_BYTES,
                allow_auto_create_topics=False,
                bootstrap_timeout_ms=int(connect_timeout_s * 1000),
                max_block_ms=int(connect_timeout_s * 1000),
                request_timeout_ms=int(delivery_timeout_s * 500),
                delivery_timeout_ms=int(delivery_timeout_s * 1000),
                metrics_enabled=False,
            )
        except KafkaConfigurationError:
            raise  # our arguments, not the broker
        except (KafkaError, OSError) as error:
            raise ServerError(
                f"no Kafka broker answers at {self._broker} ({_words(error)})",
                "start one with 'm1cep broker', or set M1CEP_BROKER to where it is",
            ) from error

    def send(
        self, stream: str, event: Mapping[str, Any] | bytes, key: bytes | None = None, timestamp_ms: int | None = None
    ) -> None:
        """Hand an event over; it leaves with its batch. Errors of delivery come with a later call, at latest ``flush``.

        Args:
            stream: name of its stream.
            event: a mapping, written as JSON, or the bytes of the record as they are.
            key: of the record; None: the stream's key column of a mapping, and of bytes no key (any partition).
            timestamp_ms: of the record; None: now.

        Raises:
            UsageError: no such stream, or a mapping that JSON cannot hold.
            ServerError: no such topic.
            DeliveryError: the broker refused or did not acknowledge an earlier batch.
        """
        if isinstance(event, bytes):
            value = event
        else:
            if key is None:
                key = key_of(self._info(stream).key, event)
            try:
                value = orjson.dumps(event)
            except TypeError as error:
                raise UsageError(f"stream {stream}: the event cannot be written as JSON: {error}") from error
        lane = self._routes.get((stream, key)) or self._route(stream, key)
        if timestamp_ms is None:
            timestamp_ms = int(time.time() * 1000)
        self.counts.sent += 1
        self.counts.bytes += len(value)
        if not lane.append(timestamp_ms, key, value):
            self._waiting.append(lane.open(timestamp_ms, key, value))
            self._settle()

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until the broker has acknowledged everything that was sent.

        Raises:
            DeliveryError: it has not, within ``timeout_s`` (None: within the delivery timeout), or it refused some.
        """
        for lane in self._lanes.values():
            lane.close()
        deadline = time.monotonic() + (timeout_s if timeout_s is not None else self._delivery_timeout_s + 5)
        while self._waiting:
            if not self._waiting[0].future.wait(max(0.0, deadline - time.monotonic())):
                raise self._delivery_error("no acknowledgement in time")
            self._settle()
        if self._first_failure:
            raise self._delivery_error()

    def close(self) -> None:
        """Flush, then let go of the broker.

        Raises:
            DeliveryError: as ``flush``.
        """
        try:
            self.flush()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the broker at once; what it has not acknowledged is lost."""
        force_close(self._kafka)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _info(self, stream: str) -> StreamInfo:
        info = self._streams.get(stream)
        if info is None or not info.topic:
            names = ", ".join(sorted(name for name, known in self._streams.items() if known.topic))
            raise UsageError(f"no stream {stream!r} that can be written to", f"streams are {names}")
        return info

    def _route(self, stream: str, key: bytes | None) -> Lane:
        """The lane of a key: the partition that Java's, aiokafka's and kafka-python's default partitioners choose."""
        topic = self._info(stream).topic
        try:
            partitions = sorted(self._kafka.partitions_for(topic))
        except KafkaError as error:
            raise ServerError(
                f"the broker at {self._broker} does not know the topic {topic}, or does not answer ({_words(error)})",
                "'m1cep topics create' makes the topics",
            ) from error
        if key is None:
            self._keyless += 1
            number = partitions[self._keyless % len(partitions)]
        else:
            number = partitions[(murmur2(key) & 0x7FFFFFFF) % len(partitions)]
        lane = self._lanes.get((topic, number))
        if lane is None:
            lane = self._lanes[topic, number] = Lane(self._kafka, TopicPartition(topic, number))
        if key is not None:
            if len(self._routes) > 200_000:  # one-time keys must not fill the memory
                self._routes.clear()
            self._routes[stream, key] = lane
        return lane

    def _settle(self) -> None:
        """Take note of finished batches; wait while more than QUEUE_BYTES are not."""
        waiting = self._waiting
        while waiting:
            oldest = waiting[0]
            if not oldest.future.is_done:
                if sum(batch.size_in_bytes() for batch in waiting) < QUEUE_BYTES:
                    break
                if not oldest.future.wait(self._delivery_timeout_s + 5):
                    raise self._delivery_error("no acknowledgement in time")
            waiting.popleft()
            count = oldest.next_offset()
            if error := oldest.error():
                self.counts.failed += count
                self._first_failure = self._first_failure or (oldest.where, error)
            else:
                self.counts.acknowledged += count
        if self._first_failure:
            raise self._delivery_error()

    def _delivery_error(self, what: str = "") -> DeliveryError:
        counts = self.counts
        failed = counts.sent - counts.acknowledged if what else counts.failed
        if self._first_failure:
            where, error = self._first_failure
            what = f"{where}: {_words(error)}"
        return DeliveryError(
            f"the broker at {self._broker} did not take {failed} of {counts.sent} events ({what})",
            "is it still there? are the records within its size limit?",
            failed=failed,
            sent=counts.sent,
        )


def key_of(columns: tuple[str, ...], event: Mapping[str, Any]) -> bytes | None:
    """The record key of an event: its value of the PARTITIONED BY column as text; of several columns a JSON array."""
    if len(columns) == 1:
        value = event.get(columns[0])
        return value.encode() if isinstance(value, str) else None if value is None else str(value).encode()
    return orjson.dumps([event.get(column) for column in columns]) if columns else None


def _words(error: BaseException) -> str:
    """What kafka-python says, without its error's name twice."""
    return " ".join(str(error).split())[:200] or type(error).__name__
