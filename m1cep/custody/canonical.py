"""One text for one value, so that everybody who digests it gets the same bytes.

JSON with sorted keys and no white space, as RFC 8785 writes it for what is allowed here: text, integers that every JSON reader
keeps exact, true, false, null, lists, objects. Money and other large numbers travel as text.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from m1cep.errors import CustodyError

_EXACT = 2**53 - 1  # beyond it readers that have only doubles round
_DEEPEST = 32


def canonical(value: Any) -> bytes:
    """The bytes of a value.

    Raises:
        CustodyError: it has a float, bytes, a key that is not ASCII text, an integer beyond 2^53 - 1, text that is not Unicode,
            or is nested more than 32 deep.
    """
    _check(value, "value", _DEEPEST)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(purpose: str, value: Any) -> str:
    """64 hexadecimal digits of SHA-256 over the purpose and the value.

    Args:
        purpose: what the digest is for, such as ``request``; digests for different purposes are never equal.
        value: as for :func:`canonical`.

    Raises:
        CustodyError: the value has no canonical form.
    """
    return sha256(tagged(purpose, value)).hexdigest()


def tagged(purpose: str, value: Any) -> bytes:
    """What is digested or signed: no message for one purpose is one for another."""
    return b"m1cep.custody." + purpose.encode() + b".v1\0" + canonical(value)


def _check(value: Any, where: str, depth: int) -> None:
    if depth == 0:
        raise CustodyError(f"expected a value nested at most {_DEEPEST} deep, got a deeper one at {where[:80]}")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, int):
        if abs(value) > _EXACT:
            raise CustodyError(f"{where}: expected an integer of at most 2^53 - 1, got a larger one: write it as text")
    elif isinstance(value, list | tuple):
        for n, item in enumerate(value):
            _check(item, f"{where}[{n}]", depth - 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():  # others would be sorted differently by different readers
                raise CustodyError(f"{where}: expected keys of ASCII text, got {key!r:.40}")
            _check(item, f"{where}.{key}", depth - 1)
    else:
        raise CustodyError(f"{where}: expected text, an integer, a list or an object, got {type(value).__name__}")


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CustodyError(f"{where}: expected Unicode text, got half a surrogate pair") from None
