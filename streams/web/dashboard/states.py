"""Where alerts stand: open until somebody says otherwise; the last word counts."""

from __future__ import annotations

from typing import Any

import orjson

STATES_TOPIC = "m1cep.alert-states.v1"
STATES = ("open", "acknowledged", "closed")
MOST_STATES = 100_000


class States:
    """Record by alert id, the newest ``most``."""

    def __init__(self, most: int = MOST_STATES) -> None:
        self._most = most
        self.by_id: dict[str, dict[str, Any]] = {}

    def take(self, key: bytes | None, value: bytes | None) -> dict[str, Any] | None:
        """A record of the topic; None: it says nothing."""
        name = (key or b"").decode(errors="replace")
        if value is None:
            self.by_id.pop(name, None)
            return None
        try:
            found = orjson.loads(value)
            name, state = found["alert"], found["state"]
        except (ValueError, LookupError, TypeError):
            return None
        if state not in STATES or not isinstance(name, str):
            return None
        self.by_id.pop(name, None)  # to the end: the oldest word goes first
        self.by_id[name] = found
        if len(self.by_id) > self._most:
            del self.by_id[next(iter(self.by_id))]
        return dict(found)
