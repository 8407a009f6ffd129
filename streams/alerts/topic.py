"""The topics of alerts and of their states, read once to their ends; writing a record."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import structlog
from kafka import KafkaProducer, TopicPartition

from m1cep.alert_states import AlertStates
from m1cep.errors import AlertStateError
from streams import codec
from streams.errors import ServerError
from streams.topics import broker_errors, consumer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kafka import KafkaConsumer
    from kafka.consumer.fetcher import ConsumerRecord

    from streams.config import Settings

_log = structlog.get_logger(__name__)

_ACK_S = 10.0
_POLL_MS = 200
_MOST_AT_ONCE = 5_000
_MANY = 16


class Seen(NamedTuple):
    """An alert as the topic holds it.

    Attributes:
        alert: the JSON object.
        received_ms: the record's timestamp, epoch.
        partition, offset: where it is.
    """

    alert: dict[str, Any]
    received_ms: int
    partition: int
    offset: int

    @property
    def id(self) -> str:
        """Of the alert."""
        return str(self.alert.get("id"))

    @property
    def account(self) -> str | None:
        """Whose it is, where its key or its row says so."""
        return account_of(self.alert)


def account_of(alert: dict[str, Any]) -> str | None:
    """The account that an alert is about; None: it names none."""
    for part in ("key", "row"):
        found = alert.get(part)
        if isinstance(found, dict) and found.get("account") is not None:
            return str(found["account"])
    return None


def parse_alert(record: ConsumerRecord) -> Seen | None:
    """The alert in a record; None: it is none."""
    try:
        alert = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(alert, dict) or not isinstance(alert.get("id"), str):
        return None
    return Seen(alert, record.timestamp, record.partition, record.offset)


def recent_alerts(settings: Settings, last: int) -> list[Seen]:
    """So many of the last records of each partition, the newest first; of an alert that was written twice the first.

    Raises:
        ServerError: no broker answers, or it has no such topic.
    """
    with consumer(settings, max_poll_records=_MOST_AT_ONCE) as reader:
        tps = partitions_of(settings, reader, codec.ALERTS)
        reader.assign(tps)
        begins, ends = reader.beginning_offsets(tps), reader.end_offsets(tps)
        for tp in tps:
            reader.seek(tp, max(begins[tp], ends[tp] - last))
        found: dict[str, Seen] = {}
        for record in to_the_end(reader, tps):
            seen = parse_alert(record)
            if seen is not None:
                found.setdefault(seen.id, seen)
    return sorted(found.values(), key=lambda one: (-one.received_ms, one.partition, -one.offset))


def find_alerts(settings: Settings, ids: Sequence[str]) -> dict[str, Seen]:
    """The alerts with these ids, as far as the topic still holds them.

    Raises:
        ServerError: no broker answers, or it has no such topic.
    """
    wanted = {one.encode() for one in ids}
    found: dict[str, Seen] = {}
    with consumer(settings, max_poll_records=_MOST_AT_ONCE) as reader:
        tps = partitions_of(settings, reader, codec.ALERTS)
        reader.assign(tps)
        reader.seek_to_beginning(*tps)
        for record in to_the_end(reader, tps):
            value = record.value or b""
            # Most records are not decoded: the topic holds a month. To look for many ids would take longer.
            if len(wanted) > _MANY or any(one in value for one in wanted):
                seen = parse_alert(record)
                if seen is not None and seen.id.encode() in wanted:
                    found.setdefault(seen.id, seen)
            if len(found) == len(wanted):
                break
    return found


def read_states(settings: Settings) -> AlertStates:
    """Where all alerts stand. Records that are none are passed over, with a line in the log.

    Raises:
        ServerError: no broker answers, or it has no such topic.
    """
    states = AlertStates()
    with consumer(settings, max_poll_records=_MOST_AT_ONCE) as reader:
        tps = partitions_of(settings, reader, codec.ALERT_STATES)
        reader.assign(tps)
        reader.seek_to_beginning(*tps)
        for record in to_the_end(reader, tps):
            try:
                states.hear(record.key, record.value)
            except AlertStateError as error:
                _log.warning("alert_state.refused", offset=record.offset, reason=str(error)[:300])
    return states


def every_alert(settings: Settings, told: Callable[[float], None]) -> Iterator[Seen]:
    """All that the topic holds, in no order; of an alert that was written twice both.

    Args:
        settings: where the broker is.
        told: is told of the part that is read, of 1.

    Raises:
        ServerError: no broker answers, or it has no such topic.
    """
    with consumer(settings, max_poll_records=_MOST_AT_ONCE) as reader:
        tps = partitions_of(settings, reader, codec.ALERTS)
        reader.assign(tps)
        reader.seek_to_beginning(*tps)
        whole = sum(reader.end_offsets(tps).values()) - sum(reader.beginning_offsets(tps).values())
        for count, record in enumerate(to_the_end(reader, tps), 1):
            if count % _MOST_AT_ONCE == 0:
                told(min(1.0, count / max(1, whole)))
            if (seen := parse_alert(record)) is not None:
                yield seen


def write(settings: Settings, *messages: codec.Message) -> None:
    """Write records; they are there when this returns.

    Raises:
        ServerError: no broker answers, or it has no such topic.
    """
    with writer(settings, {message.topic for message in messages}) as send:
        send(messages)


@contextmanager
def writer(settings: Settings, topics: Iterable[str]) -> Iterator[Callable[[Iterable[codec.Message]], None]]:
    """What writes records, and returns when they are there.

    Raises:
        ServerError: no broker answers, or it lacks one of the topics.
    """
    with consumer(settings) as reader:
        for topic in topics:
            partitions_of(settings, reader, topic)
    with broker_errors(settings):
        producer = KafkaProducer(
            **settings.client_settings(),
            acks="all",
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,  # in their order, also when one is sent again
        )

        def send(messages: Iterable[codec.Message]) -> None:
            sent = [producer.send(topic, value, key=key, headers=headers) for topic, key, value, headers in messages]
            for one in sent:
                one.get(timeout=_ACK_S)

        try:
            yield send
        finally:
            producer.close()


def partitions_of(settings: Settings, reader: KafkaConsumer, topic: str) -> list[TopicPartition]:
    """All partitions of a topic.

    Raises:
        ServerError: there is no such topic.
    """
    found = [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]
    if not found:
        raise ServerError(f"the broker at {settings.broker} has no topic {topic}", "make it: m1cep topics create")
    return found


def to_the_end(reader: KafkaConsumer, tps: Sequence[TopicPartition]) -> Iterator[ConsumerRecord]:
    """Records from where the reader stands to where the topic ended now. The embedded broker names an end before its last batch:
    what is behind it comes with the same answers.
    """
    ends = reader.end_offsets(list(tps))
    while True:
        found = reader.poll(timeout_ms=_POLL_MS)
        for records in found.values():
            yield from records
        if not found and all(reader.position(tp) >= ends[tp] for tp in tps):
            return
