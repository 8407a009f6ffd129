"""Rows on their way to the rules, found by the values of their columns.

A few values of a column are counted one by one, which is quick; for many an index is made, in which each costs one look-up.
Rules whose constant conditions no row of the batch meets are told so, whatever the number of rows.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from m1cep.plan.constants import Constants

    Place = tuple[int, Any]  # of a row: its position in the rule's source, and the row

_FEW = 6  # values of a column that are looked for one by one; with more of them an index is cheaper


class Batch:
    """Rows in event-time order; ``base`` is the position of the first of them in the rule's source.

    ``indexed``: columns of which many values have been asked for in earlier batches; it is added to.
    """

    __slots__ = ("_counts", "_found", "_indexes", "_values", "base", "indexed", "rows")

    def __init__(self, rows: Sequence[Any], base: int, indexed: set[str] | None = None) -> None:
        self.rows = rows
        self.base = base
        self.indexed = set() if indexed is None else indexed
        self._values: dict[str, list[Any]] = {}
        self._counts: dict[str, dict[Any, int]] = {}
        self._indexes: dict[str, dict[Any, list[Place]]] = {}
        self._found: dict[tuple[str, tuple[Any, ...]], list[Place]] = {}

    def all(self) -> Iterator[Place]:
        """(position, row) of every row."""
        return enumerate(self.rows, self.base)

    def values(self, name: str, value_of: Callable[[Any], Any]) -> list[Any]:
        """``value_of`` each row; kept under ``name``."""
        found = self._values.get(name)
        if found is None:
            found = self._values[name] = list(map(value_of, self.rows))
        return found

    def candidates(self, constants: Constants, part: int = 4) -> list[Place] | None:
        """(position, row) of the rows that may meet ``constants`` (columns and the values they must have one of): those of the
        rarest. None when there are no constants to go by, or they leave more than one row in ``part``: looking at all of them is
        as cheap.
        """
        best: tuple[str, tuple[Any, ...]] | None = None
        least = len(self.rows) // part
        for attr, values in constants:
            count = sum([self._count(attr, v) for v in values])
            if count <= least:
                best, least = (attr, values), count
        return None if best is None else self._having(*best)

    def _count(self, attr: str, value: Any) -> int:
        """Rows with a value in a column."""
        counts = self._counts.get(attr)
        if counts is None:
            counts = self._counts[attr] = {}
            if attr in self.indexed:
                self._index(attr)
        count = counts.get(value)
        if count is not None:
            return count
        if attr in self._indexes:
            return 0
        if len(counts) == _FEW:
            self.indexed.add(attr)
            self._index(attr)
            return counts.get(value, 0)
        counts[value] = count = self.values(attr, attrgetter(attr)).count(value)
        return count

    def _index(self, attr: str) -> None:
        """Find the rows of every value of a column."""
        index = self._indexes[attr] = defaultdict(list)
        for value, place in zip(self.values(attr, attrgetter(attr)), self.all(), strict=True):
            index[value].append(place)
        self._counts[attr] |= {value: len(places) for value, places in index.items()}

    def _having(self, attr: str, values: tuple[Any, ...]) -> list[Place]:
        """(position, row) of rows with one of some values in a column, in order."""
        index = self._indexes.get(attr)
        if index is not None and len(values) == 1:  # in order already
            return index[values[0]]
        found = self._found.get((attr, values))
        if found is None:
            if index is not None:
                found = sorted(chain.from_iterable(index[v] for v in values))
            elif any(self._counts[attr][v] for v in values):
                column = zip(self._values[attr], self.all(), strict=True)
                found = [place for value, place in column if value in values]
            self._found[attr, values] = found = found or []
        return found
