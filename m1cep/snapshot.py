r"""An engine's state as bytes, and the checks before it is taken over.

M1CEP \x02  digest (8 bytes)  msgpack [counts, sources, rules, seen]
             counts   events, late ones, repetitions
             sources  name, fingerprint of its declaration, rows let go so far, the merge: watermarks and rows that wait
             rules    id, version, source, alerts so far, the operator's state
             seen     by stream, the ids by which repetitions are known
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from m1cep.errors import EngineError
from m1cep.model.pack import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep.model.stream import Stream
    from m1cep.rule import Rule

_MAGIC = b"M1CEP"
VERSION = 2


def fingerprint(streams: Iterable[Stream]) -> str:
    """Tells declarations apart that would read events differently."""
    text = "\n".join(f"{s.name} {s.columns!r} {s.time_column} {s.key} {s.delay} {s.branches!r}" for s in streams)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def encode(content: Any) -> bytes:
    """The bytes of a snapshot."""
    body = pack(content)
    return _MAGIC + bytes([VERSION]) + _digest(body) + body


def decode(blob: bytes) -> Any:
    """What ``encode`` was given.

    Raises:
        EngineError: these are not the bytes of a snapshot, or those of another version, or not as they were written.
    """
    if blob[:5] != _MAGIC or len(blob) < 6:
        raise EngineError(f"expected a snapshot of an engine (it begins with {_MAGIC!r}), got {bytes(blob[:8])!r}")
    if blob[5] != VERSION:
        raise EngineError(
            f"expected a snapshot of version {VERSION}, got version {blob[5]}: restore it with the M1CEP that wrote it, "
            "or begin without it and replay the events"
        )
    digest, body = blob[6:14], blob[14:]
    if digest != _digest(body):
        raise EngineError(f"the snapshot is damaged ({len(blob)} bytes are here): use the one before it")
    return unpack(body)


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=8).digest()


def check_rules(rules: Iterable[Rule], saved: Mapping[str, str]) -> None:
    """Refuse a snapshot of other rules.

    Args:
        rules: those of the engine.
        saved: version by id of those of the snapshot.

    Raises:
        EngineError: they are not the same; says which.
    """
    now = {rule.id: rule.version for rule in rules}
    problems = [f"{i} is new" for i in now if i not in saved]
    problems += [f"{i} is gone" for i in saved if i not in now]
    problems += [f"{i} is another version" for i in now if i in saved and saved[i] != now[i]]
    if problems:
        raise EngineError(
            f"the snapshot is of another rule set: {', '.join(sorted(problems))}. "
            "Restore with changed=True to take over the rules that are the same; the others begin empty"
        )
