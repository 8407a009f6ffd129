"""What an operator does by hand: a test alert, and what a target did not get once more."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import orjson
from kafka import TopicPartition

from streams import codec
from streams.alerts.topic import partitions_of, to_the_end
from streams.notify.courier import Answer, new_session, post
from streams.notify.letters import read_letter
from streams.notify.queue import ALERT, Delivery
from streams.topics import consumer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kafka import KafkaConsumer

    from streams.config import Settings
    from streams.notify.targets import Target

_TEST_LASTS_S = 60.0
_FIND_MS = 10_000


class Undelivered(NamedTuple):
    """A dead letter of the agent notify.

    Attributes:
        target: its name.
        delivery: what it did not get.
        cut: the letter holds only the beginning of the alert.
        at_ms: when it was given up.
    """

    target: str
    delivery: Delivery
    cut: bool
    at_ms: int


async def send(target: Target, delivery: Delivery) -> Answer:
    """One attempt."""
    async with new_session() as session:
        return await post(session, target, [delivery], time.time_ns() // 1_000_000)


async def send_test(target: Target) -> tuple[str, Answer]:
    """An alert that says that it is a test: its id, and what the target answers."""
    name, now_ms = f"test-{uuid.uuid4().hex}", time.time_ns() // 1_000_000
    alert = {
        "id": name,
        "rule": "m1cep-test",
        "severity": "info",
        "key": {"test": "yes"},
        "row": {"text": "a test by `m1cep notify test`; nothing has happened"},
        "event_time": now_ms,
        "events": [],
    }
    short = replace(target, firing_for_s=_TEST_LASTS_S)
    return name, await send(short, Delivery(name, ALERT, orjson.dumps(alert), now_ms, -1, -1, now_ms))


def undelivered(settings: Settings, since_ms: int) -> list[Undelivered]:
    """What targets did not get, the oldest first, each once.

    Args:
        settings: where the broker is.
        since_ms: epoch; what was given up before it is left out.

    Raises:
        ServerError: no broker answers, or it has no such topic.
    """
    found: dict[tuple[str, str, str], Undelivered] = {}
    with consumer(settings) as reader:
        tps = partitions_of(settings, reader, codec.DEAD_LETTERS)
        reader.assign(tps)
        reader.seek_to_beginning(*tps)
        for record in to_the_end(reader, tps):
            letter = read_letter(record.value) if record.timestamp >= since_ms else None
            if letter is not None:
                target, one, cut = letter
                found[target, one.alert, one.what] = Undelivered(target, one, cut, record.timestamp)
    return sorted(found.values(), key=lambda letter: letter.at_ms)


def whole(settings: Settings, letters: Sequence[Undelivered]) -> Mapping[tuple[str, str], bytes]:
    """Alerts that their letters hold cut, from the topic of alerts, as far as it still has them; by id and ``what``."""
    cut = [letter.delivery for letter in letters if letter.cut and letter.delivery.offset >= 0]
    found = {}
    if cut:
        with consumer(settings) as reader:
            for one in cut:
                value = _value_at(reader, TopicPartition(codec.ALERTS, one.partition), one.offset)
                if value is not None and orjson.loads(value).get("id") == one.alert:
                    found[one.key] = value
    return found


def _value_at(reader: KafkaConsumer, tp: TopicPartition, offset: int) -> bytes | None:
    reader.assign([tp])
    if reader.beginning_offsets([tp])[tp] > offset:
        return None
    reader.seek(tp, offset)
    deadline_s = time.monotonic() + _FIND_MS / 1_000
    while time.monotonic() < deadline_s:
        for record in reader.poll(timeout_ms=200).get(tp, ()):
            value: bytes | None = record.value
            return value if record.offset == offset else None
    return None
