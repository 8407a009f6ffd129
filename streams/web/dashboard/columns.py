"""Columns over time, as uPlot wants them: one list a name, all of one length, bounded."""

from __future__ import annotations

from collections import deque
from typing import Any


class Columns:
    """Rows by time, the oldest forgotten.

    Args:
        names: of the columns; the first is the time.
        most: rows.
    """

    def __init__(self, *names: str, most: int) -> None:
        self._rows: deque[tuple[Any, ...]] = deque(maxlen=most)
        self._names = names

    def add(self, *row: Any) -> None:
        """A row; one with the time of the last replaces it."""
        if self._rows and self._rows[-1][0] == row[0]:
            self._rows[-1] = row
        else:
            self._rows.append(row)

    def __len__(self) -> int:
        return len(self._rows)

    def plain(self) -> dict[str, list[Any]]:
        """List by name."""
        return {name: [row[n] for row in self._rows] for n, name in enumerate(self._names)}
