"""Screening again: a list of today against what was seen before, in the cache or in files of events.

Alerts of a hit have the id of list, entry and account: whoever screens twice, or after another import, tells each of them once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from m1cep import Alert
from m1cep.model.alert import AlertIds
from m1cep.model.time import parse_rfc3339
from m1cep.runtime.addresses import normal_address
from streams.cache import keys
from streams.cache.in_force import PART

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from redis import Redis

RULE = "rescreen"
WHAT = ("address", "account")


@dataclass(frozen=True, slots=True)
class Hit:
    """Something on the list that was seen.

    Attributes:
        what: address or account.
        kind, event_id, at_ms: of the event in which it was seen last.
    """

    what: str
    entry: str
    account: str
    kind: str = ""
    event_id: str = ""
    at_ms: int = 0

    def alert(self, name: str, version: str, severity: str) -> Alert:
        """The alert of the hit on list ``name``."""
        key = {"account": self.account}
        row = {"list": name, "what": self.what, "entry": self.entry, "kind": self.kind, "seen_ms": self.at_ms}
        alert_id = AlertIds(RULE, "1").of(key, [name, self.what, self.entry])
        events = [self.event_id] if self.event_id else []
        return Alert(alert_id, RULE, severity, key, row, self.at_ms, events, {name: version})


def in_cache(client: Redis, entries: Iterable[str], on_entries: Callable[[int], None]) -> Iterator[Hit]:
    """Hits among what the agent ``results`` has written down. Entries are asked for in parts, so a list may be of any length.

    Raises:
        RedisError: the cache failed.
    """
    rest, done = iter(entries), 0
    while part := list(islice(rest, PART)):
        asked = [(what, entry) for entry in part for what in WHAT]
        pipe = client.pipeline(transaction=False)
        for what, entry in asked:
            pipe.hgetall(keys.seen(what, normal_address(entry) if what == "address" else entry))
        for (what, entry), found in zip(asked, pipe.execute(), strict=True):
            for account, raw in found.items():
                about: dict[str, Any] = orjson.loads(raw)
                yield Hit(what, entry, account, about["kind"], about["event_id"], about["at_ms"])
        done += len(part)
        on_entries(done)


def in_files(files: Iterable[Path], entries: frozenset[str], on_bytes: Callable[[int], None]) -> Iterator[Hit | None]:
    """Hits among the events of files (newline-delimited JSON), each as it was seen first; None for a line that is no event."""
    told: set[tuple[str, str, str]] = set()
    done = 0
    for file in files:
        with file.open("rb") as lines:
            for line in lines:
                done += len(line)
                on_bytes(done)
                if line.strip():
                    yield from _of_line(line, entries, told)


def _of_line(line: bytes, entries: frozenset[str], told: set[tuple[str, str, str]]) -> Iterator[Hit | None]:
    try:
        event = orjson.loads(line)
        account = event["account"]
        seen = {"account": account, "address": event.get("address")}
        about = (
            str(event.get("kind") or event.get("action") or ""),
            str(event.get("event_id") or ""),
            _time_ms(event.get("ts")),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        yield None
        return
    for what, value in seen.items():
        if isinstance(value, str) and isinstance(account, str):
            entry = value if value in entries else normal_address(value) if what == "address" else value
            if entry in entries and (what, entry, account) not in told:
                told.add((what, entry, account))
                yield Hit(what, entry, account, *about)


def _time_ms(value: Any) -> int:
    return parse_rfc3339(value, "ms") if isinstance(value, str) else int(value or 0)
