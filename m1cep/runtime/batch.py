"""Rows on their way to the rules, with an index by the values of their columns that is made when it is first asked for.

Rules whose constant conditions no row of the batch meets are told so by one look-up, whatever the number of rows.
"""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from m1cep.plan.constants import Constants

    Place = tuple[int, Any]  # of a row: its position in the rule's source, and the row

_NONE: list[Any] = []


class Batch:
    """Rows in event-time order; ``base`` is the position of the first of them in the rule's source."""

    __slots__ = ("_found", "_indexes", "_values", "base", "rows")

    def __init__(self, rows: Sequence[Any], base: int) -> None:
        self.rows = rows
        self.base = base
        self._values: dict[str, list[Any]] = {}
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

    def candidates(self, constants: Constants, part: int = 2) -> list[Place] | None:
        """(position, row) of the rows that may meet ``constants`` (columns and the values they must have one of): those of the
        rarest. None when there are no constants to go by, or they leave more than one row in ``part``: looking at all of them is
        as cheap.
        """
        best: tuple[str, tuple[Any, ...]] | None = None
        least = len(self.rows) // part
        for attr, values in constants:
            index = self._index(attr)
            count = sum([len(index.get(v, _NONE)) for v in values])
            if count <= least:
                best, least = (attr, values), count
        return None if best is None else self._having(*best)

    def _index(self, attr: str) -> dict[Any, list[Place]]:
        """The rows by their value of a column."""
        index = self._indexes.get(attr)
        if index is None:
            index = self._indexes[attr] = {}
            for value, place in zip(self.values(attr, attrgetter(attr)), self.all(), strict=True):
                try:
                    index[value].append(place)
                except KeyError:
                    index[value] = [place]
        return index

    def _having(self, attr: str, values: tuple[Any, ...]) -> list[Place]:
        index = self._indexes[attr]
        if len(values) == 1:  # in order already
            return index.get(values[0], _NONE)
        found = self._found.get((attr, values))
        if found is None:
            found = self._found[attr, values] = sorted(chain.from_iterable(index.get(v, _NONE) for v in values))
        return found
