"""What leaves M1CEP on Kafka: alerts, dead letters and late events as JSON with CloudEvents 1.0 headers.

Binary content mode of the CloudEvents Kafka protocol binding: attributes are record headers ``ce_*``, the value is the
event's data alone. Nothing here varies between runs: the same input gives the same bytes and the same ``ce_id``, so
whoever reads at-least-once topics can drop repetitions by id.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from m1cep.model.time import to_rfc3339

if TYPE_CHECKING:
    from m1cep import Alert, Late

ALERTS = "m1cep.alerts.v1"
ALERT_STATES = "m1cep.alert-states.v1"
ACTIONS = "m1cep.actions.v1"
DEAD_LETTERS = "m1cep.dead-letters.v1"
LATE = "m1cep.late.v1"
SHADOW = "m1cep.shadow-alerts.v1"  # alerts of rules that are tried out: nobody acts on them
STATUS = "m1cep.status.v1"

#: The largest record that Kafka takes by default.
MAX_VALUE_BYTES = 1024 * 1024
#: A dead letter carries at most so much of the record it is about.
RAW_CUT_BYTES = 64 * 1024
#: Room for key, headers and framing within Kafka's limit.
_FRAME_BYTES = 4096


class Message(NamedTuple):
    """One record to be written; without a value it says that its key is no more."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Source(NamedTuple):
    """The record that a dead letter or a late event is about."""

    topic: str
    partition: int
    offset: int
    timestamp: int | None
    key: bytes | None
    value: bytes | None


def alert_message(alert: Alert, event_time_ms: int, source: str) -> Message:
    """The alert as a message; one that Kafka would refuse for its size becomes a dead letter that names it.

    Args:
        alert: from the engine.
        event_time_ms: of the alert, in epoch milliseconds whatever the unit of its stream.
        source: CloudEvents source, such as ``/m1cep/risk``.
    """
    value = alert.to_json()
    key = alert.key_text.encode()
    if len(value) + len(key) > MAX_VALUE_BYTES - _FRAME_BYTES:
        return _oversized_alert(alert, value, source)
    return Message(ALERTS, key, value, headers(alert.id, "m1cep.alert.v1", source, _time(event_time_ms)))


def shadowed(alert: Message) -> Message:
    """The alert as that of a rule which is tried out: to a topic of its own."""
    return alert._replace(topic=SHADOW) if alert.topic == ALERTS else alert


def action_message(alert: Alert, action: str, event_time_ms: int, source: str) -> Message:
    """What a rule asks for beyond its alert, for whoever carries it out.

    Args:
        alert: that the rule raised; the action bears its id, and counts once.
        action: freeze_account, halt_grid or hold_withdrawal.
        event_time_ms: of the alert, in epoch milliseconds.
        source: as of ``alert_message``.
    """
    account, symbol = alert.key.get("account"), alert.key.get("symbol")
    body = {
        "id": alert.id,
        "action": action,
        "account": account,
        "symbol": symbol,
        "rule": alert.rule,
        "severity": alert.severity,
        "event_time_ms": event_time_ms,
    }
    key = alert.key_text if account is None else str(account)
    about = headers(f"action/{alert.id}", "m1cep.action.v1", source, _time(event_time_ms))
    return Message(ACTIONS, key.encode(), orjson.dumps(body, default=str), about)


def dead_letter(record: Source, reason: str, source: str, *, column: str | None = None) -> Message:
    """A record that cannot be read, with the reason and its bytes."""
    body = {**_position(record), "column": column, "reason": reason, **raw_value(record.value)}
    return _about(record, DEAD_LETTERS, "m1cep.dead-letter.v1", source, body)


def late_event(record: Source, late: Late, source: str) -> Message:
    """An event that came after the watermark had passed it."""
    body = {
        **_position(record),
        "stream": late.stream,
        "event_time": late.event_time,
        "watermark": late.watermark,
        "reason": late.reason,
        **raw_value(record.value),
    }
    return _about(record, LATE, "m1cep.late.v1", source, body)


def _oversized_alert(alert: Alert, value: bytes, source: str) -> Message:
    body = {
        "topic": ALERTS,
        "partition": None,
        "offset": None,
        "timestamp": None,
        "key": alert.key_text[:1000],
        "column": None,
        "reason": f"alert {alert.id} of rule {alert.rule} has {len(value)} bytes, more than Kafka takes: "
        "select fewer or shorter columns in the rule",
        **raw_value(value),
    }
    about = headers(f"alert/{alert.id}", "m1cep.dead-letter.v1", source, None)
    return Message(DEAD_LETTERS, None, orjson.dumps(body), about)


def _about(record: Source, topic: str, kind: str, source: str, body: dict[str, Any]) -> Message:
    where = f"{record.topic}/{record.partition}"
    about = headers(f"{where}/{record.offset}", kind, source, _time(record.timestamp))
    return Message(topic, where.encode(), orjson.dumps(body), about)


def _position(record: Source) -> dict[str, Any]:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": None if record.key is None else record.key[:1000].decode(errors="backslashreplace"),
    }


def raw_value(value: bytes | None) -> dict[str, Any]:
    """The bytes of a record as text when they are UTF-8, else in base64; cut, with a note, when they are many."""
    if value is None:
        return {"raw": None, "encoding": None, "length": 0, "note": "the record has no value (a tombstone)"}
    text, encoding = _as_text(value[:RAW_CUT_BYTES], cut=len(value) > RAW_CUT_BYTES)
    note = f"cut after {RAW_CUT_BYTES} of {len(value)} bytes" if len(value) > RAW_CUT_BYTES else None
    return {"raw": text, "encoding": encoding, "length": len(value), "note": note}


def _as_text(part: bytes, *, cut: bool) -> tuple[str, str]:
    try:
        return part.decode(), "utf-8"
    except UnicodeDecodeError as error:
        if cut and error.start >= len(part) - 3:  # the cut went through a character
            return part[: error.start].decode(), "utf-8"
    return base64.b64encode(part).decode(), "base64"


def headers(identity: str, kind: str, source: str, time: str | None) -> list[tuple[str, bytes]]:
    """CloudEvents attributes.

    Args:
        identity: the same for the same event, however often it is written.
        kind: such as m1cep.alert.v1.
        source: such as /m1cep/risk.
        time: RFC 3339, or None.
    """
    found = [
        ("ce_specversion", b"1.0"),
        ("ce_id", identity.encode()),
        ("ce_type", kind.encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/json"),
    ]
    if time is not None:
        found.append(("ce_time", time.encode()))
    return found


def _time(epoch_ms: int | None) -> str | None:
    """RFC 3339 text of an epoch in milliseconds; None when it lies outside what RFC 3339 can say."""
    try:
        return None if epoch_ms is None else to_rfc3339(epoch_ms, "ms")
    except (OverflowError, ValueError, OSError):
        return None
