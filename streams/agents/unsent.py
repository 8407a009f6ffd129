"""What a :class:`~streams.agents.solo.Solo` keeps: the machine's state, and what is to be sent next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from streams.agents.outbox import Packet
from streams.codec import Message
from streams.snapshots import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Sequence

_kept = msgspec.msgpack.Decoder(tuple[bytes, list[list[Any]]])


def packed(state: bytes, said: Sequence[Message | Packet]) -> bytes:
    """What is kept: the state, and what is to be sent next, so that a crash in between leaves nothing unsaid."""
    return msgspec.msgpack.encode((state, said))


def unpacked(kept: bytes) -> tuple[bytes, list[Message | Packet]]:
    """What ``packed`` was given.

    Raises:
        SnapshotError: it is something else.
    """
    try:
        state, said = _kept.decode(kept)
        return state, [_message(*one) if len(one) == len(Message._fields) else _packet(*one) for one in said]
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise SnapshotError(f"expected a state and what was to be sent: {error}") from None


def _message(topic: str, key: bytes | None, value: bytes, headers: list[list[Any]]) -> Message:
    return Message(topic, key, value, [(name, content) for name, content in headers])


def _packet(topic: str, partition: int, records: list[list[Any]]) -> Packet:
    return Packet(topic, partition, [(k, v, [(name, content) for name, content in h]) for k, v, h in records])
