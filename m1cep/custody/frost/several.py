"""Several byte strings in one: a transaction may need several signatures, and each message about it speaks of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.frost.errors import EncodingError
from m1cep.custody.frost.wire import Reader, u16

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A Bitcoin transfer spends 50 coins at most.
MOST = 64


def join(parts: Sequence[bytes]) -> bytes:
    """One encoding: how many, then each with its size.

    Raises:
        EncodingError: none, more than 64, or one of more than 65,535 bytes.
    """
    if not 1 <= len(parts) <= MOST or any(len(part) > 65_535 for part in parts):
        raise EncodingError(f"1 to {MOST} parts of at most 65535 bytes travel together, not {len(parts)}")
    return u16(len(parts)) + b"".join(u16(len(part)) + part for part in parts)


def split(what: str, data: bytes, count: int) -> list[bytes]:
    """From ``join``.

    Args:
        what: the name of the whole, for errors.
        data: the bytes.
        count: how many there must be.

    Raises:
        EncodingError: it is not of that form, or of another number of parts.
    """
    reader = Reader(what, data)
    if (came := reader.u16()) != count:
        raise EncodingError(f"{what} must have {count} parts, one for each signature, not {came}")
    parts = [reader.take(reader.u16()) for _ in range(count)]
    reader.end()
    return parts


def first(what: str, data: bytes, count: int) -> bytes:
    """``join`` of the first so many parts of what ``join`` gave.

    Raises:
        EncodingError: it is not of that form, or has fewer.
    """
    came = Reader(what, data).u16()
    if came < count:
        raise EncodingError(f"{what} has {came} parts, {count} are needed")
    return join(split(what, data, came)[:count])
