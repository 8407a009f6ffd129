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
_NONE: frozenset[str] = frozenset()
_known: WeakKeyDictionary[frozenset[str], tuple[bool, frozenset[str] | None]] = WeakKeyDictionary()


def normal_address(text: str) -> str:
    """The address in small letters where their case means nothing; any other text as it is.

    >>> normal_address("0xD90E2F925DA726B50C4ED8D0FB90AD053324F31B"), normal_address("1AbC"), normal_address("0xBad")
    ('0xd90e2f925da726b50c4ed8d0fb90ad053324f31b', '1AbC', '0xBad')
    """
    return text.lower() if is_caseless(text) else text


def is_caseless(text: str) -> bool:
    """Whether it is such an address, in whatever letters."""
    return text[:2] in _STARTS and _CASELESS.fullmatch(text) is not None


def is_listed(text: str, entries: AbstractSet[str]) -> bool:
    """Whether a list, which has such addresses in small letters, has a text."""
    return text in entries or (text.lower() in entries and is_caseless(text))


def has_caseless(entries: AbstractSet[str]) -> bool:
    """Whether a list has such addresses."""
    return _look(entries)[0]


def folded(entries: AbstractSet[str]) -> AbstractSet[str]:
    """The entries, and the small letters of those that have capitals; the list itself where none has.

    What of a text in small letters is not in it, :func:`is_listed` does not find either.
    """
    return _look(entries)[1] or entries


def look_ahead(entries: frozenset[str], before: frozenset[str] | None = None, come: AbstractSet[str] = _NONE) -> None:
    """Find both out before anybody asks: of a list that was ``before`` without what has ``come``, from what is known of that.

    Of what has gone the small letters may stay: they only make somebody look more closely.
    """
    known = None if before is None else _known.get(before)
    if known is None or (not known[0] and any(map(is_caseless, come))) or len(known[1] or ()) > 2 * len(entries):
        _look(entries)
        return
    caseless, extended = known
    small = _small(come) if caseless else _NONE
    if extended is not None:
        _known[entries] = caseless, extended.union(come, small)
    else:
        _known[entries] = caseless, entries | small if small else None


def _small(entries: AbstractSet[str]) -> frozenset[str]:
    """Of those that have capitals, the small letters."""
    return frozenset(low for entry in entries if (low := entry.lower()) != entry)


def _look(entries: AbstractSet[str]) -> tuple[bool, frozenset[str] | None]:
    """Both, the latter None for the list itself: a value that held its key would stay for ever."""
    found = _known.get(entries) if isinstance(entries, frozenset) else None
    if found is None:
        caseless = any(map(is_caseless, entries))
        small = _small(entries) if caseless else _NONE
        found = caseless, small | entries if small else None
        if isinstance(entries, frozenset):
            _known[entries] = found
    return found
