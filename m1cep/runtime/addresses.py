"""Addresses whose letters' case means nothing: one form for lists, and the same form for what is looked for in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

#: EVM addresses (capitals are only EIP-55's check sum) and segwit addresses (BIP 173: in either case). Base58 is not here.
_CASELESS = re.compile(r"(?i)(?:0x[0-9a-f]{40}|(?:bc|tb|bcrt|ltc)1[0-9a-z]{8,87})")
_STARTS = frozenset({"0x", "0X", "bc", "bC", "Bc", "BC", "tb", "tB", "Tb", "TB", "lt", "lT", "Lt", "LT"})
_known: WeakKeyDictionary[frozenset[str], bool] = WeakKeyDictionary()


def normal_address(text: str) -> str:
    """The address in small letters where their case means nothing; any other text as it is.

    >>> normal_address("0xD90E2F925DA726B50C4ED8D0FB90AD053324F31B"), normal_address("1AbC"), normal_address("0xBad")
    ('0xd90e2f925da726b50c4ed8d0fb90ad053324f31b', '1AbC', '0xBad')
    """
    return text.lower() if text[:2] in _STARTS and _CASELESS.fullmatch(text) else text


class Screened:
    """A list with such addresses: it has an address however its letters are written."""

    __slots__ = ("entries",)

    def __init__(self, entries: AbstractSet[str]) -> None:
        self.entries = entries

    def __contains__(self, text: str) -> bool:
        entries = self.entries
        return text in entries or (text[:2] in _STARTS and normal_address(text) in entries)


def screened(entries: AbstractSet[str]) -> AbstractSet[str] | Screened:
    """What to look in: the list itself when no address of it could be written in another way, which costs nothing more."""
    if not isinstance(entries, frozenset):
        return Screened(entries)
    found = _known.get(entries)
    if found is None:
        found = _known[entries] = any(e[:2] in _STARTS and _CASELESS.fullmatch(e) is not None for e in entries)
    return Screened(entries) if found else entries
