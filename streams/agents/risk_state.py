"""What a partition of the risk agent saves: engine, lanes, whether events were live, versions of lists, rules that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from streams.agents.quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Mapping


def packed(
    engine: bytes, lanes: Mapping[str, Any], *, live: bool, pins: tuple[Mapping[str, str], bool], failed: Any
) -> bytes:
    """All of it: ``pins`` as :func:`pins_in` gives them, ``failed`` as the quarantine has it."""
    return msgspec.msgpack.encode([engine, lanes, live, pins, failed])


def unpacked(state: bytes) -> tuple[bytes, dict[str, Any], bool]:
    """Of a snapshot, the engine's part, that of each reader of a re-keyed topic, and whether events were live."""
    blob, lanes, live, *_ = msgspec.msgpack.decode(state)
    return blob, lanes, live


def pins_in(state: bytes) -> tuple[dict[str, str], bool]:
    """Of a snapshot, the versions of lists and parameters by which the engine judged, and whether they were current."""
    _, _, _, *pins = msgspec.msgpack.decode(state)
    return (pins[0][0], pins[0][1]) if pins else ({}, True)


def quarantine_in(state: bytes, number: int) -> Quarantine:
    """Of a snapshot, the rules that had failed."""
    *_, last = found = msgspec.msgpack.decode(state)
    return Quarantine(number, last if len(found) > 4 else None)
