"""The producer of an agent: every message it takes comes with a future of the broker's acknowledgement.

aiokafka's own producer is used directly, not Faust's around it: Faust's buffer (``send_soon``, ``flush``) returns before
messages are written, and its ``send`` adds sensors and coroutines to each message only to return the same future.
Idempotence is off: the embedded broker does not know it, and every message carries an id by which readers drop
repetitions.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest

from streams.errors import ServerError
from streams.security import check_access_async, for_aiokafka

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from faust.types import TP

    from streams.codec import Message

#: A message that the broker has not taken by then fails, and the worker with it.
_ACK_TIMEOUT_MS = 30_000
_BATCH_BYTES = 256 * 1024
_LATEST, _UNCOMMITTED = -1, 0  # in place of a time, and the isolation level, of ListOffsets
_STOP_TIMEOUT_S, _STOP_AFTER_FAILURE_S = 3.0, 0.5


class Cluster(NamedTuple):
    """What a broker says about itself.

    Attributes:
        id: of the cluster. The embedded broker has a new one at every start, as it has forgotten everything.
        partitions: how many each existing topic has.
    """

    id: str | None
    partitions: dict[str, int]


class Packet(NamedTuple):
    """Records for one partition, to be written in their order: key, value, headers."""

    topic: str
    partition: int
    records: Sequence[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]


def to_all(
    topic: str, partitions: int, records: Sequence[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]
) -> list[Packet]:
    """The same records for every partition of a topic."""
    return [Packet(topic, number, records) for number in range(partitions)]


class Outbox:
    """Writes messages; what has been acknowledged is known message by message.

    Args:
        client: settings of the Kafka client: ``bootstrap_servers`` and security.
        name: client id.
    """

    def __init__(self, client: Mapping[str, Any], name: str) -> None:
        self._client = client
        self._broker = str(client["bootstrap_servers"])
        self._producer = AIOKafkaProducer(
            **for_aiokafka(client),
            client_id=name,
            acks="all",
            enable_idempotence=False,
            linger_ms=0,  # an alert waits for nothing; what comes while one request is under way forms the next batch
            max_batch_size=_BATCH_BYTES,
            request_timeout_ms=_ACK_TIMEOUT_MS,
            metadata_max_age_ms=60_000,
            partitioner=_partition_of,
        )
        self._packets: dict[tuple[str, int], asyncio.Future[None]] = {}  # the last to each partition
        self._written: set[str] = set()  # topics

    async def __aenter__(self) -> Self:
        await check_access_async(self._client)
        try:
            await self._producer.start()
        except KafkaConnectionError:
            await self._producer.stop()
            raise ServerError(
                f"no Kafka broker answers at {self._broker}",
                "start one with `m1cep broker`, or say where it is in M1CEP_BROKER",
            ) from None
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # It flushes first; with a broker that is gone that would take until every message has timed out.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._producer.stop(), _STOP_TIMEOUT_S if kind is None else _STOP_AFTER_FAILURE_S)

    async def look(self, topics: Iterable[str]) -> Cluster:
        """Ask the broker which cluster it is and about ``topics``; never creates one.

        Raises:
            KafkaError: it does not answer.
            ServerError: it does not permit us to see some of them.
        """
        client = self._producer.client
        request = MetadataRequest(list(topics), allow_auto_topic_creation=False)
        answer = await client.send(client.get_random_node(), request)
        if denied := [topic for error, topic, *_ in answer.topics if error == TopicAuthorizationFailedError.errno]:
            raise ServerError(
                f"the broker at {self._broker} does not permit us to use {', '.join(sorted(denied))}",
                "docs/security.md lists the grants that a worker needs",
            )
        partitions = {topic: len(found) for error, topic, _, found in answer.topics if error == 0}
        return Cluster(answer.cluster_id, partitions)

    async def ends(self, tps: Collection[TP]) -> dict[TP, int]:
        """Where partitions end, as their leaders say; those without a leader are left out.

        Raises:
            KafkaError: a leader does not answer.
        """
        client = self._producer.client
        by_leader: dict[int, dict[str, list[tuple[int, int]]]] = {}
        for topic in {tp.topic for tp in tps}:
            await client.add_topic(topic)  # the producer knows the leaders of what it writes to only
        for tp in tps:
            leader = client.cluster.leader_for_partition(tp)
            if leader is not None and leader >= 0:
                by_leader.setdefault(leader, {}).setdefault(tp.topic, []).append((tp.partition, _LATEST))
        found: dict[TP, int] = {}
        for leader, theirs in by_leader.items():
            request = OffsetRequest(-1, _UNCOMMITTED, list(theirs.items()))
            answer = await client.send(leader, request)
            for topic, partitions in answer.topics:
                found |= {
                    TopicPartition(topic, number): offset for number, error, _, offset, *_ in partitions if error == 0
                }
        return found

    async def send(self, message: Message | Packet) -> asyncio.Future[Any]:
        """Queue a message. Waits while the queue of its partition is full, so a slow broker slows the caller.

        Returns:
            A future that is done when the broker has acknowledged the message, or failed with a KafkaError.

        Raises:
            KafkaError: an earlier packet to that partition was refused: none may follow, lest there be a hole.
        """
        if message.topic not in self._written:
            await self._keep_known(message.topic)
        if isinstance(message, Packet):
            before = self._packets.get(message[:2])
            if before is not None:
                await asyncio.shield(before)
            packet = self._packets[message[:2]] = asyncio.ensure_future(self._write(message))
            return packet
        future: asyncio.Future[Any] = await self._producer.send(
            message.topic, message.value, key=message.key, headers=message.headers
        )
        return future

    async def _keep_known(self, topic: str) -> None:
        """Let the client ask for a topic that we write to whenever it asks for any.

        At its start it learns of all topics, and takes those for known. As soon as one is asked for by name (``ends``) it forgets
        the others, and a message that waits for the leader of one of them waits until it has expired.
        """
        await self._producer.client.add_topic(topic)
        self._written.add(topic)

    async def _write(self, packet: Packet) -> None:
        """Write a packet, in as many batches as it takes, each after the acknowledgement of the one before."""
        batch = self._producer.create_batch()
        for key, value, headers in packet.records:
            while batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                await (await self._producer.send_batch(batch, packet.topic, partition=packet.partition))
                batch = self._producer.create_batch()
        await (await self._producer.send_batch(batch, packet.topic, partition=packet.partition))


_murmur2 = DefaultPartitioner()


@lru_cache(maxsize=65536)
def keyed_partition(key: bytes, count: int) -> int:
    """The partition of a key, as Kafka's default partitioner has it."""
    partitions = list(range(count))
    partition: int = _murmur2(key, partitions, partitions)
    return partition


def _partition_of(key: bytes | None, all_partitions: list[int], available: list[int]) -> int:
    """The partitioner of aiokafka, which hashes in Python, remembered per key: alerts of a key come in bursts."""
    if key is None:
        partition: int = _murmur2(key, all_partitions, available)
        return partition
    return sorted(all_partitions)[keyed_partition(key, len(all_partitions))]
