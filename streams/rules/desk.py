"""What a person does with rules over Kafka: read what was decided, write what is decided now, see it come into force."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from kafka import KafkaProducer, TopicPartition

from streams import codec
from streams.errors import ServerError, ShellError
from streams.rules.record import RULES, following, parse, plain
from streams.status import StatusReader
from streams.topics import broker_errors, consumer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kafka import KafkaConsumer

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
    with _reader(settings) as reader:
        newest = {record.key: record.value for record in _read_on(reader)}
    deployed = Deployed()
    for key, value in newest.items():
        if value is not None:
            try:
                one = parse(key, value)
                deployed.records[one.rule] = one
            except ShellError as error:
                deployed.bad[(key or b"").decode(errors="replace")] = str(error)
    return deployed


def write_rule(settings: Settings, record: RuleRecord, previous: RuleRecord | None) -> RuleRecord:
    """Write a record; acknowledged when this returns.

    Kafka cannot compare and set. What others have written since ``previous`` was read is looked for before, and again after: of
    two who write at the same moment, the later one counts, and writes once more, with the earlier one in its history.

    Args:
        settings: where the broker is.
        record: what was decided.
        previous: the record by which it was decided.

    Returns:
        The record as it was written: its time is that moment.

    Raises:
        ServerError: no broker answers, or it has no such topic.
        ShellError: the record is too large, or there is another than the previous one by now.
    """
    key, ours = record.rule.encode(), set[int]()
    with _reader(settings) as reader:
        _check_unchanged(record.rule, _newest(key, _read_on(reader)), previous)
        others: list[Any] = []
        while True:
            record = msgspec.structs.replace(record, time_ms=max(record.time_ms, time.time_ns() // 1_000_000))
            offset = _send(settings, record)
            ours.add(offset)
            others += [one for one in _read_on(reader, offset + 1) if one.offset not in ours]
            meanwhile = _newest(key, [one for one in others if one.offset < offset])
            if meanwhile is None:
                return record
            others = [one for one in others if one.offset > offset]
            record = following(meanwhile, plain(record))


def _check_unchanged(rule: str, now: RuleRecord | None, previous: RuleRecord | None) -> None:
    if now == previous:
        return
    what = "its record was taken back" if now is None else f"{now.by} made version {now.version} {now.mode}"
    raise ShellError(
        f"rule {rule} has been changed meanwhile: {what}; nothing was written",
        f"look at it (m1cep rules diff {rule}), and say it again if you still mean it",
    )


@contextmanager
def _reader(settings: Settings) -> Iterator[KafkaConsumer]:
    """At the beginning of the topic."""
    with consumer(settings) as reader:
        if not reader.partitions_for_topic(RULES):
            raise ServerError(f"the broker at {settings.broker} has no topic {RULES}", "make it: m1cep topics create")
        reader.assign([_PART])
        reader.seek_to_beginning(_PART)
        yield reader


def _read_on(reader: KafkaConsumer, at_least: int = 0) -> list[Any]:
    """The records from where the reader stands to the end, and at least those below an offset."""
    end = max(at_least, reader.end_offsets([_PART])[_PART])
    records: list[Any] = []
    # The embedded broker names an end before the last batch: what is behind it comes with the same answers.
    while (found := reader.poll(timeout_ms=200)) or reader.position(_PART) < end:
        records += found.get(_PART, ())
    return records


def _newest(key: bytes, records: Iterable[Any]) -> RuleRecord | None:
    """The newest record of a rule; None: there is none, or none that can be read."""
    value = next((one.value for one in reversed(list(records)) if one.key == key), None)
    try:
        return None if value is None else parse(key, value)
    except ShellError:
        return None


def _send(settings: Settings, record: RuleRecord) -> int:
    """Write a record; its offset."""
    value = record.to_json()
    about = codec.headers(f"rule/{record.rule}/{record.time_ms}", "m1cep.rule.v1", _SOURCE, None)
    with broker_errors(settings):
        producer = KafkaProducer(**settings.client_settings(), acks="all", enable_idempotence=False)
        try:
            sent = producer.send(RULES, value, key=record.rule.encode(), headers=about).get(timeout=_ACK_S)
        finally:
            producer.close()
    offset: int = sent.offset
    return offset


def workers_of(found: Iterable[Mapping[str, Any]], group: str) -> list[Mapping[str, Any]]:
    """Of the status records, those of workers of a group that run rules and are alive."""
    return [one for one in found if one["alive"] and one["group"] == group and "risk" in one["agents"]]


def running_workers(settings: Settings, group: str) -> list[Mapping[str, Any]]:
    """The workers of a group that run rules now. Those that have just started are given time to say what they read.

    Raises:
        ServerError: no broker answers, or it has no topic of status.
    """
    until_s = time.monotonic() + _SILENT_S
    with StatusReader(settings) as reader:
        while True:
            found = workers_of(reader.look(), group)
            if any(one["agents"]["risk"]["assigned"] for one in found) or time.monotonic() >= until_s:
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
