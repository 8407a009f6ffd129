"""State as bytes: msgpack, with the few Python values that msgpack does not have as extensions.

Tuples come back as lists; DECIMAL, fractions, integers beyond 64 bits and sets come back as they were.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

_DECIMAL, _BIG, _SET, _FRACTION = 1, 2, 3, 4
_I64 = 2**63


def pack(value: Any) -> bytes:
    """The bytes of a plain value: None, bool, int, float, str, bytes, Decimal, Fraction, list, tuple, dict, frozenset, in any
    nesting.
    """
    return _encode(_plain(value))


def unpack(data: bytes) -> Any:
    """The value of bytes that ``pack`` made."""
    return _decode(data)


def tuples(value: Any) -> Any:
    """``value`` with a tuple for every list in it."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in (str, float, bool, bytes) or value is None:
        return value
    if kind is int:
        return value if -_I64 <= value < 2 * _I64 else msgspec.msgpack.Ext(_BIG, str(value).encode())
    if kind in (list, tuple) or isinstance(value, tuple):
        return [_plain(v) for v in value]
    if kind is dict:
        return {k: _plain(v) for k, v in value.items()}
    if kind is Decimal:
        return msgspec.msgpack.Ext(_DECIMAL, str(value).encode())
    if kind is Fraction:
        return msgspec.msgpack.Ext(_FRACTION, str(value).encode())
    if kind is frozenset:
        return msgspec.msgpack.Ext(_SET, _encode([_plain(v) for v in sorted(value, key=repr)]))
    return value


def _extension(code: int, data: memoryview) -> Any:
    if code == _DECIMAL:
        return Decimal(bytes(data).decode())
    if code == _BIG:
        return int(bytes(data))
    if code == _FRACTION:
        return Fraction(bytes(data).decode())
    return frozenset(tuples(_decode(bytes(data))))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ext_hook=_extension).decode
