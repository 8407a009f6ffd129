"""The documents of the API: each is made at most so often, and encoded once for everybody who asks or watches."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable


_log = structlog.get_logger(__name__)


@dataclass
class _Document:
    name: str
    make: Callable[[], Any]
    every_s: float
    data: bytes = b"{}"
    made_s: float = -1e9
    told: bytes = field(default=b"", repr=False)


class Documents:
    """By name.

    Args:
        clock_s: monotonic.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._known: dict[str, _Document] = {}

    def add(self, name: str, make: Callable[[], Any], every_s: float) -> None:
        """A document, made anew when somebody wants it and it is older than ``every_s``."""
        self._known[name] = _Document(name, make, every_s)

    @property
    def names(self) -> list[str]:
        """All."""
        return list(self._known)

    def get(self, name: str) -> bytes | None:
        """Its JSON; None: there is no such document."""
        found = self._known.get(name)
        return None if found is None else self._fresh(found)

    def changed(self) -> list[tuple[str, bytes]]:
        """Those that are otherwise than at the last call."""
        found = []
        for name, one in self._known.items():
            data = self._fresh(one)
            if data is not one.told:
                if data != one.told:
                    found.append((name, data))
                one.told = data
        return found

    def _fresh(self, one: _Document) -> bytes:
        now_s = self._clock_s()
        if now_s - one.made_s >= one.every_s:
            one.made_s = now_s
            try:
                one.data = orjson.dumps(one.make())
            except Exception as error:  # noqa: BLE001 - records of others are in it: the page keeps what it had
                _log.warning("dashboard.document_failed", document=one.name, error=repr(error))
        return one.data
