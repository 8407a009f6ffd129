"""What a person does with rules over Kafka: read what was decided, write what is decided now, see it come into force."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer, TopicPartition

from streams import codec
from streams.errors import ServerError, ShellError
from streams.rules.record import RULES, parse
from streams.status import StatusReader
from streams.topics import broker_errors, consumer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from streams.config import Settings
    from streams.rules.record import RuleRecord

_ACK_S = 10.0
_SOURCE = "/m1cep/cli"
#: Workers write their status every second; who has heard none for so long takes it that there is none.
_SILENT_S = 3.0
_PART = TopicPartition(RULES, 0)


@dataclass
class Deployed:
    """What the topic holds.

    Attributes:
        records: by rule id.
        bad: why a record cannot be read, by its key.
    """

    records: dict[str, RuleRecord] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)


def read_rules(settings: Settings) -> Deployed:
    """The newest record of each rule.

    Raises:
        ServerError: no broker answers, or it has no such topic.
    """
    raw: dict[bytes | None, bytes | None] = {}
    with consumer(settings) as reader:
        if not reader.partitions_for_topic(RULES):
            raise ServerError(f"the broker at {settings.broker} has no topic {RULES}", "make it: m1cep topics create")
        end = reader.end_offsets([_PART])[_PART]
        reader.assign([_PART])
        reader.seek_to_beginning(_PART)
        # The embedded broker names an end before the last batch: what is behind it comes with the same answers.
        while (found := reader.poll(timeout_ms=200)) or reader.position(_PART) < end:
            for record in found.get(_PART, ()):
                raw[record.key] = record.value
    deployed = Deployed()
    for key, value in raw.items():
        if value is not None:
            try:
                one = parse(key, value)
                deployed.records[one.rule] = one
            except ShellError as error:
                deployed.bad[(key or b"").decode(errors="replace")] = str(error)
    return deployed


def write_rule(settings: Settings, record: RuleRecord) -> None:
    """Write a record; acknowledged when this returns.

    Raises:
        ServerError: no broker answers.
        ShellError: the record is too large.
    """
    value = record.to_json()
    about = codec.headers(f"rule/{record.rule}/{record.time_ms}", "m1cep.rule.v1", _SOURCE, None)
    with broker_errors(settings):
        producer = KafkaProducer(**settings.client_settings(), acks="all", enable_idempotence=False)
        try:
            producer.send(RULES, value, key=record.rule.encode(), headers=about).get(timeout=_ACK_S)
        finally:
            producer.close()


def workers_of(found: Iterable[Mapping[str, Any]], group: str) -> list[Mapping[str, Any]]:
    """Of the status records, those of workers of a group that run rules and are alive."""
    return [one for one in found if one["alive"] and one["group"] == group and "risk" in one["agents"]]


def running_workers(settings: Settings, group: str) -> list[Mapping[str, Any]]:
    """The workers of a group that run rules now.

    Raises:
        ServerError: no broker answers, or it has no topic of status.
    """
    until_s = time.monotonic() + _SILENT_S
    with StatusReader(settings) as reader:
        while not (found := workers_of(reader.look(), group)) and time.monotonic() < until_s:
            pass
        return found


@dataclass(frozen=True)
class Arrival:
    """How a record has come into force.

    Attributes:
        after_ms: by worker, how long after it was written. By the clocks of two machines.
        quarantined: by worker, why the rule cannot run there.
        missing: workers that have not said that they have it.
    """

    after_ms: dict[str, int]
    quarantined: dict[str, str]
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every worker has said so."""
        return not self.missing


def arrival(record: RuleRecord, workers: Sequence[Mapping[str, Any]]) -> Arrival:
    """What workers say of a record."""
    after_ms: dict[str, int] = {}
    quarantined: dict[str, str] = {}
    missing: list[str] = []
    for one in workers:
        told = next((r for r in one["rules"] if r["id"] == record.rule), None)
        if told is None or told.get("stamp_ms", 0) < record.time_ms:
            missing.append(one["worker"])
            continue
        after_ms[one["worker"]] = max(0, told["since_ms"] - record.time_ms)
        if told["mode"] == "quarantined":
            quarantined[one["worker"]] = told["reason"] or "it failed"
    return Arrival(after_ms, quarantined, tuple(missing))


def wait_until_in_force(
    settings: Settings,
    record: RuleRecord,
    group: str,
    timeout_s: float,
    on_look: Callable[[Arrival], None] = lambda _arrival: None,
) -> Arrival:
    """Wait until all workers of a group have said that they have a record, or the time is over.

    Raises:
        ServerError: no broker answers, or it has no topic of status.
    """
    started_s = time.monotonic()
    with StatusReader(settings) as reader:
        while True:
            workers = workers_of(reader.look(), group)
            found = arrival(record, workers)
            on_look(found)
            waited_s = time.monotonic() - started_s
            if (workers and found.complete) or waited_s >= (timeout_s if workers else _SILENT_S):
                return found
