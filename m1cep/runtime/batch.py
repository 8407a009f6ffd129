"""Rows on their way to the rules, with an index by the values of their columns that is made when it is first asked for.

Rules whose constant conditions no row of the batch meets are told so by one look-up, whatever the number of rows.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from m1cep.plan.constants import Constants


class Batch:
    """Rows in event-time order; ``base`` is the position of the first of them in the rule's source."""

    __slots__ = ("_indexes", "base", "rows")

    def __init__(self, rows: Sequence[Any], base: int) -> None:
        self.rows = rows
        self.base = base
        self._indexes: dict[str, Mapping[Any, list[int]]] = {}

    def all(self) -> Iterator[tuple[int, Any]]:
        """(position, row) of every row."""
        return enumerate(self.rows, self.base)

    def at(self, indexes: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """(position, row) of the rows at ``indexes``."""
        rows, base = self.rows, self.base
        return ((base + i, rows[i]) for i in indexes)

    def by(self, name: str, value_of: Callable[[Any], Any]) -> Mapping[Any, list[int]]:
        """Indexes of the rows by ``value_of`` them; kept under ``name``."""
        found = self._indexes.get(name)
        if found is None:
            index: dict[Any, list[int]] = {}
            for i, row in enumerate(self.rows):
                value = value_of(row)
                if value in index:
                    index[value].append(i)
                else:
                    index[value] = [i]
            found = self._indexes[name] = index
        return found

    def candidates(self, constants: Constants) -> list[int] | None:
        """Indexes of the rows that may meet ``constants`` (columns and the values they must have one of): those of the
        rarest. None when there are no constants to go by.
        """
        best: list[int] | None = None
        for attr, values in constants:
            index = self.by(attr, attrgetter(attr))
            one = len(values) == 1  # its indexes are in order already
            found = index.get(values[0], []) if one else sorted(i for v in values for i in index.get(v, ()))
            if best is None or len(found) < len(best):
                best = found
                if not best:
                    break
        return best
