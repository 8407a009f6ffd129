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
    return text.lower() if is_caseless(text) else text


def is_caseless(text: str) -> bool:
    """Whether it is such an address, in whatever letters."""
    return text[:2] in _STARTS and _CASELESS.fullmatch(text) is not None


def has_caseless(entries: AbstractSet[str]) -> bool:
    """Whether a list may have such addresses; of what is no frozenset it is not looked up."""
    if not isinstance(entries, frozenset):
        return True
    found = _known.get(entries)
    if found is None:
        found = _known[entries] = any(map(is_caseless, entries))
    return found
