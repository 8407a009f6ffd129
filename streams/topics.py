"""The Kafka topics: which there are, with what settings; made when missing, listed, read.

The names and keys are those of the contract. Partition p of all input topics is processed together, so the input topics
have equal partition counts. The replication factor is left to the cluster's ``default.replication.factor``.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from streams import codec
from streams.config import DEFAULT_PARTITIONS
from streams.errors import ServerError, ShellError
from streams.security import check_access

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from m1cep.model.stream import Stream
    from streams.config import Settings
    from streams.rekey import Rekeyed

CONNECT_TIMEOUT_MS = 5_000
REQUEST_TIMEOUT_MS = 15_000
_DAY_MS = 86_400_000


def _kept(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * _DAY_MS)}


#: Read at once by the worker that has them written; a worker that is away for longer than a day has lost its place anyway.
#: Records get a header and another key, and may have been as large as the source takes.
_REKEYED = _kept(1) | {"max.message.bytes": str(16 * 1024 * 1024)}
_FOREVER = {"cleanup.policy": "delete", "retention.ms": "-1"}
_COMPACTED = {"cleanup.policy": "compact"}
#: The newest of each key, and of keys that nobody writes any more nothing after a day.
_STATUS = _kept(1) | {"cleanup.policy": "compact,delete"}


@dataclass(frozen=True)
class Topic:
    """A topic as it should be.

    Attributes:
        key: what the Kafka key holds, in words; empty when records have none.
        config: topic settings, as in Kafka's documentation. The embedded broker takes and ignores them.
        is_input: read by the engine: has as many partitions as every other input.
        partitions: fixed number, or None for the number that the user chooses.
    """

    name: str
    key: str = ""
    config: Mapping[str, str] = field(default_factory=lambda: _kept(30))
    is_input: bool = False
    partitions: int | None = None


BUILT_IN = (
    Topic("m1cep.orders.v1", "account", _kept(7), is_input=True),
    Topic("m1cep.fills.v1", "account", _kept(7), is_input=True),
    Topic("m1cep.accounts.v1", "account", _kept(7), is_input=True),
    Topic("m1cep.market.v1", "symbol", _kept(7), is_input=True),
    Topic(codec.ALERTS, "the rule's partition key"),
    Topic(codec.SHADOW, "the rule's partition key", _kept(7)),
    Topic(codec.ALERT_STATES, "alert id", _COMPACTED, partitions=1),
    Topic("m1cep.actions.v1", "account", is_input=True),
    Topic(codec.LATE),
    Topic(codec.DEAD_LETTERS),
    Topic("m1cep.rules.v1", "rule id", _COMPACTED, partitions=1),  # one partition: versions of all rules in one order
    Topic(codec.STATUS, "worker", _STATUS, partitions=1),  # one partition: a reader has all workers at once
    Topic("m1cep.order-commands.v1", "grid", is_input=True),  # every one in the partition of its symbol
    Topic("m1cep.grid-log.v1", "grid", is_input=True),
    Topic("m1cep.paper-log.v1", "", _kept(1), is_input=True),
    Topic("m1cep.grids.v1", "grid", _COMPACTED),
    # What auditors ask for years later. One partition: each is read whole by everybody, and every partition costs every fetch.
    Topic("m1cep.custody.requests.v1", "vault", _FOREVER, partitions=1),
    Topic("m1cep.custody.rounds.v1", "request", _FOREVER, partitions=1),
    Topic("m1cep.custody.releases.v1", "vault", _FOREVER, partitions=1),
    Topic("m1cep.custody.audit.v1", "log", _FOREVER, partitions=1),
    Topic("m1cep.custody.standing.v1", "thing", _COMPACTED, partitions=1),
)


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


def topics_of(streams: Iterable[Stream]) -> list[Topic]:
    """The built-in topics, and the input topics of further streams."""
    found = {topic.name: topic for topic in BUILT_IN}
    for stream in streams:
        if not stream.is_view:
            found.setdefault(stream.topic, Topic(stream.topic, ", ".join(stream.key), _kept(7), is_input=True))
    return list(found.values())


def topics_by_other_keys(rekeyed: Iterable[Rekeyed]) -> list[Topic]:
    """The topics of streams by other columns than their key."""
    return [
        Topic(one.topic, ", ".join(column or "NULL" for column in one.columns), _REKEYED, is_input=True)
        for one in rekeyed
    ]


def topics_of_signers(numbers: Iterable[int]) -> list[Topic]:
    """What is for one signer of custody alone: what is dealt to it in ceremonies."""
    return [Topic(f"m1cep.custody.signer-{number}.v1", "vault", _FOREVER, partitions=1) for number in numbers]


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
