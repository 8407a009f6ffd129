"""The Kafka topics on the broker: made when missing, listed, read; clients for that.

Partition p of all input topics is processed together, so the input topics have equal partition counts. The replication factor is
left to the cluster's ``default.replication.factor``.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from streams.config import DEFAULT_PARTITIONS
from streams.errors import ServerError, ShellError
from streams.security import check_access
from streams.topic_table import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from streams.config import Settings
    from streams.topic_table import Topic

CONNECT_TIMEOUT_MS = 5_000
REQUEST_TIMEOUT_MS = 15_000


@dataclass(frozen=True)
class TopicState:
    """A topic as it is on the broker.

    Attributes:
        created: whether ``create_topics`` has just made it.
        records: how many it holds, the compacted and expired ones not counted exactly; None when not asked for.
    """

    name: str
    partitions: int
    created: bool = False
    records: int | None = None


def create_topics(
    settings: Settings, topics: Iterable[Topic] = BUILT_IN, *, partitions: int = DEFAULT_PARTITIONS
) -> list[TopicState]:
    """Make the topics that are missing and wait until they can be used; those that exist stay as they are.

    Args:
        settings: where the broker is.
        topics: what there should be.
        partitions: of new topics that do not fix their number.

    Raises:
        ServerError: no broker answers.
        ShellError: the broker refuses a topic, or the input topics have unequal partition counts.
    """
    wanted = list(topics)
    with admin_client(settings) as admin:
        there = set(admin.list_topics())
        missing = [t for t in wanted if t.name not in there]
        if missing:
            _create(admin, missing, partitions)
        counts = {t["name"]: len(t["partitions"]) for t in admin.describe_topics([t.name for t in wanted])}
    _check_equal_partitions({t.name: counts[t.name] for t in wanted if t.is_input})
    new = {t.name for t in missing}
    return [TopicState(t.name, counts[t.name], created=t.name in new) for t in wanted]


def create_missing(client: Mapping[str, Any], topics: Iterable[Topic], partitions: int) -> None:
    """Make the topics that are missing; for a worker, whose settings have become those of a client.

    Raises:
        ShellError: the broker refuses one.
        KafkaError: it does not answer.
    """
    admin = KafkaAdminClient(**client, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        there = set(admin.list_topics())
        if missing := [topic for topic in topics if topic.name not in there]:
            _create(admin, missing, partitions)
    finally:
        admin.close()


def _create(admin: KafkaAdminClient, missing: list[Topic], partitions: int) -> None:
    request = {t.name: {"num_partitions": t.partitions or partitions, "configs": dict(t.config)} for t in missing}
    answer = admin.create_topics(request, raise_errors=False)
    for topic in answer["topics"]:
        error = for_code(topic["error_code"])
        # Another process may create the same topics at the same moment.
        if topic["error_code"] and error is not TopicAlreadyExistsError:
            reason = topic.get("error_message") or error.description or error.__name__
            raise ShellError(f"the broker refuses to create topic {topic['name']}: {reason}")
    admin.wait_for_topics(list(request))


def _check_equal_partitions(counts: Mapping[str, int]) -> None:
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        raise ShellError(
            f"the input topics must have equal partition counts, found {found}",
            "delete the topics that differ, or add partitions, or create all with one --partitions",
        )


def list_topics(settings: Settings, *, internal: bool = False) -> list[TopicState]:
    """The broker's topics by name, with their partitions and numbers of records.

    Raises:
        ServerError: no broker answers.
    """
    with admin_client(settings) as admin:
        found = [t for t in admin.describe_topics() if internal or not (t["is_internal"] or t["name"].startswith("__"))]
    partitions = {t["name"]: [TopicPartition(t["name"], p["partition_index"]) for p in t["partitions"]] for t in found}
    every = [tp for tps in partitions.values() for tp in tps]
    if not every:
        return []
    with consumer(settings) as reader:
        first, end = reader.beginning_offsets(every), _true_ends(reader, every)
    return [
        TopicState(name, len(tps), records=sum(end[tp] - first[tp] for tp in tps))
        for name, tps in sorted(partitions.items())
    ]


def _true_ends(reader: KafkaConsumer, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    """The offsets after the last records. The embedded broker names the beginning of the last batch (plus one) as the end: so
    what is there is read on from where it says.
    """
    ends: dict[TopicPartition, int] = reader.end_offsets(partitions)
    reader.assign(partitions)
    for tp, offset in ends.items():
        reader.seek(tp, offset)
    while found := reader.poll(timeout_ms=200):
        ends |= {tp: records[-1].offset + 1 for tp, records in found.items()}
    return ends


def topic_ids(client: Mapping[str, Any], topics: Iterable[str]) -> dict[str, str]:
    """The id that the cluster gave each existing topic when it was made; a topic made anew has another.

    Args:
        client: settings of a Kafka client.
        topics: names.

    Raises:
        KafkaError: the broker does not answer.
    """
    admin = KafkaAdminClient(**client, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        return {topic["name"]: str(topic.get("topic_id") or "") for topic in admin.describe_topics(list(topics))}
    finally:
        admin.close()


@contextmanager
def admin_client(settings: Settings) -> Iterator[KafkaAdminClient]:
    """An admin client, closed at the end; what the broker answers badly becomes a ServerError.

    Raises:
        ServerError: no broker answers, or it is lost.
    """
    client = _access(settings)
    with broker_errors(settings):
        admin = KafkaAdminClient(
            **client,
            bootstrap_timeout_ms=CONNECT_TIMEOUT_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            yield admin
        finally:
            admin.close()


@contextmanager
def consumer(settings: Settings, **options: Any) -> Iterator[KafkaConsumer]:
    """A consumer without a group, closed at the end; errors as of ``admin_client``."""
    client = _access(settings)
    with broker_errors(settings):
        reader = KafkaConsumer(
            **client,
            bootstrap_timeout_ms=CONNECT_TIMEOUT_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            **options,
        )
        try:
            reader.bootstrap(CONNECT_TIMEOUT_MS)
            yield reader
        finally:
            reader.close()


@contextmanager
def broker_errors(settings: Settings) -> Iterator[None]:
    """Turns kafka-python's errors into a ServerError that says where the broker was sought and what to do."""
    try:
        yield
    except (KafkaError, OSError) as error:
        if reachable(settings):
            raise ServerError(f"the Kafka broker at {settings.broker} does not answer as expected: {error}") from error
        raise no_broker(settings) from error


def _access(settings: Settings) -> dict[str, Any]:
    """The settings of a client, once it is known that somebody listens and will have us.

    kafka-python would try again and again until its timeout, and then not say why.
    """
    if not reachable(settings):
        raise no_broker(settings)
    client = settings.client_settings()
    check_access(client)
    return client


def no_broker(settings: Settings) -> ServerError:
    """The error for a broker that is not there."""
    return ServerError(
        f"no Kafka broker answers at {settings.broker}",
        "start one with `m1cep broker`, or set M1CEP_BROKER to the host:port of yours",
    )


def reachable(settings: Settings, timeout_s: float = 2.0) -> bool:
    """Whether something takes connections at the broker's address."""
    try:
        with socket.create_connection((settings.broker_host, settings.broker_port), timeout=timeout_s):
            return True
    except OSError:
        return False
