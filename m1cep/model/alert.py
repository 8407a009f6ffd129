"""Alerts: what a rule says when it matches. The same object from ``replay``, the engine and the Kafka runtime."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_EVENT_IDS = 1_000  # an alert names at most so many events: the oldest half and the newest half


class Alert(msgspec.Struct, frozen=True):
    """An alert.

    Attributes:
        id: the same for the same rule version, key and contributing events, on every run.
        rule: id of the rule.
        severity: info | low | medium | high | critical.
        key: the partition's columns and values.
        row: the SELECT list.
        event_time: of the last contributing event, of the time-out, or of a window's last moment, in the stream's unit.
        events: ids of the contributing events, oldest first, at most MAX_EVENT_IDS.
        lists: version by name of the lists that the rule reads, as they were when the match was decided. The id does not depend
            on them.
        params: the same of its parameters; values in place of those of its front matter are called ``rules.ID``.
    """

    id: str
    rule: str
    severity: str
    key: dict[str, Any]
    row: dict[str, Any]
    event_time: int
    events: list[str]
    lists: dict[str, str] = {}  # msgspec gives each its own
    params: dict[str, str] = {}

    @property
    def key_text(self) -> str:
        """The Kafka key: the value of the key's column as text; of several columns a JSON array, as producers of events do."""
        values = list(self.key.values())
        return str(values[0]) if len(values) == 1 else orjson.dumps(values, default=str).decode()

    def to_json(self) -> bytes:
        """The JSON object of the contract; ``lists`` and ``params`` only where there are some."""
        content: dict[str, Any] = {
            "id": self.id,
            "rule": self.rule,
            "severity": self.severity,
            "key": self.key,
            "row": self.row,
            "event_time": self.event_time,
            "events": self.events,
        }
        if self.lists:
            content["lists"] = self.lists
        if self.params:
            content["params"] = self.params
        return orjson.dumps(content, default=str)  # DECIMAL: exact digits as text


def clip_event_ids(ids: list[str]) -> list[str]:
    """At most MAX_EVENT_IDS of ``ids``: the oldest half and the newest half."""
    if len(ids) <= MAX_EVENT_IDS:
        return ids
    half = MAX_EVENT_IDS // 2
    return ids[:half] + ids[-half:]


class AlertIds:
    """Ids of the alerts of one rule in one version: 32 hexadecimal digits of BLAKE2b over rule, version, key and what tells this
    match from others. Every part is preceded by its length, so that no two different lists give the same bytes.
    """

    __slots__ = ("_begun",)

    def __init__(self, rule: str, version: str) -> None:
        self._begun = blake2b(_framed([rule, version]), digest_size=16)

    def of(self, key: Mapping[str, Any], discriminators: Iterable[str]) -> str:
        """The id for a key; the discriminators are the ids of the contributing events, or the window's bounds."""
        digest = self._begun.copy()
        digest.update(_framed([*[f"{k}={v!r}" for k, v in key.items()], *discriminators]))
        return digest.hexdigest()


def _framed(parts: list[str]) -> bytes:
    pieces: list[bytes] = []
    for part in parts:
        piece = part.encode("utf-8", "surrogatepass")
        pieces += (len(piece).to_bytes(4, "big"), piece)
    return b"".join(pieces)


def event_digest(row: msgspec.Struct) -> str:
    """The id of an event that has none: 16 hexadecimal digits of BLAKE2b over its contents."""
    return blake2b(msgspec.json.encode(row), digest_size=8).hexdigest()
