"""Versions of lists and parameters, made from their contents: equal contents, equal version, wherever they are kept.

The version of a list does not depend on the order in which its entries come, and adding one does not need the others: lists of
any length are known by it without being held (a sum of hashes, after Bellare and Micciancio's AdHash, 1997). It tells contents
apart; it is no proof against somebody who may write the list.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_WHOLE = 1 << 256
_DIGITS = 12  # hexadecimal


class ListVersion:
    """The version of a growing or shrinking set of entries.

    >>> one, other = ListVersion(["a", "b"]), ListVersion(["b"])
    >>> other.add("a")
    >>> one.text == other.text, one.count
    (True, 2)
    """

    __slots__ = ("_sum", "count")

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._sum = 0
        self.count = 0
        for entry in entries:
            self.add(entry)

    def add(self, entry: str) -> None:
        """One more entry, which was not there."""
        self._sum = (self._sum + _number(entry)) % _WHOLE
        self.count += 1

    def remove(self, entry: str) -> None:
        """One entry less, which was there."""
        self._sum = (self._sum - _number(entry)) % _WHOLE
        self.count -= 1

    @property
    def state(self) -> str:
        """For ``resumed``: JSON cannot hold such numbers."""
        return f"{self._sum:x}"

    @classmethod
    def resumed(cls, count: int, state: str) -> ListVersion:
        """The version of a list of ``count`` entries that gave that ``state``."""
        found = cls()
        found.count, found._sum = count, int(state, 16)
        return found

    @property
    def text(self) -> str:
        """12 hexadecimal digits."""
        return hashlib.sha256(b"%d %064x" % (self.count, self._sum)).hexdigest()[:_DIGITS]


def value_version(value: Any) -> str:
    """The version of anything that JSON can hold; the order of mappings does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:_DIGITS]


def _number(entry: str) -> int:
    return int.from_bytes(hashlib.sha256(entry.encode("utf-8", "surrogatepass")).digest())
