r"""The bytes of a partition's snapshot: what it is of, where it stands, and the agent's state.

M1CEP-P \x01  digest (16 bytes)  msgpack [agent, partition, topics, positions, rules, state]
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from m1cep.errors import M1cepError

_MAGIC = b"M1CEP-P"
VERSION = 1
_HEAD = len(_MAGIC) + 1
_DIGEST_BYTES = 16


class SnapshotError(M1cepError):
    """These bytes are no snapshot that can go on here; says why."""


class PartitionSnapshot(msgspec.Struct, array_like=True, frozen=True):
    """A partition number of all topics of an agent, at one moment.

    Attributes:
        agent: whose state it is.
        partition: its number.
        topics: the id that the cluster gave each topic when it was made; empty text where it gives none.
        positions: the next offset of each topic, as of the state.
        rules: version by id of the rules that the state is of.
        state: of the agent.
    """

    agent: str
    partition: int
    topics: dict[str, str]
    positions: dict[str, int]
    rules: dict[str, str]
    state: bytes


def encode(snapshot: PartitionSnapshot) -> bytes:
    """The bytes to be saved."""
    body = msgspec.msgpack.encode(snapshot)
    return b"".join((_MAGIC, bytes([VERSION]), _digest(body), body))


def decode(data: bytes) -> PartitionSnapshot:
    """What ``encode`` was given.

    Raises:
        SnapshotError: it is no snapshot, of another version, or damaged.
    """
    if not data.startswith(_MAGIC) or len(data) <= _HEAD:
        raise SnapshotError(f"it is no snapshot of a partition: {len(data)} bytes that begin with {data[:8]!r}")
    if data[_HEAD - 1] != VERSION:
        raise SnapshotError(f"it has version {data[_HEAD - 1]}, and this M1CEP reads version {VERSION}")
    digest, body = data[_HEAD : _HEAD + _DIGEST_BYTES], data[_HEAD + _DIGEST_BYTES :]
    if digest != _digest(body):
        raise SnapshotError(f"it is damaged: {len(data)} bytes are here, and their digest is another than was written")
    return msgspec.msgpack.decode(body, type=PartitionSnapshot)


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_BYTES).digest()
